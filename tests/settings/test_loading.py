"""Contract, Settings: one TOML file, overridden by the environment, paths taken from the file's folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.settings import Address, AppSettings, Secret, Settings, default_settings, load_settings, settings_of
from stream.settings.keys import APP, KEYS


def loaded(tmp_path: Path, text: str, **environ: str) -> Settings:
    file = tmp_path / "unpush.toml"
    file.write_text(text, "utf-8")
    return load_settings(file, environ)


def test_an_empty_file_gives_the_contracts_defaults(tmp_path: Path) -> None:
    """Contract, Settings: the block of keys, with these defaults."""
    settings = loaded(tmp_path, "")
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.kafka.group_id == "unpush"
    assert settings.topics.partitioned_alike == ("push.message-sent", "push.violation-detected", "push.revoke-result")
    assert settings.topics.dead_letter == "push.revoke-dead-letter"
    assert (settings.avro.write_format, settings.avro.registry_url) == ("single-object", None)
    assert settings.avro.auto_register
    assert (settings.store.path, settings.store.retention_s) == (tmp_path / "state", 72 * 3600)
    assert (settings.join.not_found_after_s, settings.join.since_ms) == (60, None)
    push_kit = settings.push_kit
    assert push_kit.url == "https://push-api.cloud.huawei.com"
    assert (push_kit.timeout_s, push_kit.max_in_flight, push_kit.give_up_after_s) == (10, 64, 24 * 3600)
    assert (push_kit.paused, push_kit.key_file, dict(push_kit.apps)) == (False, None, {})
    assert (settings.guard.max_devices_per_violation, settings.guard.max_devices_per_hour) == (0, 0)
    assert (settings.http.listen, settings.http.advertise) == (Address("127.0.0.1", 8070), None)
    assert (settings.http.token_file, settings.http.token) == (None, None)
    assert (settings.log.level, settings.log.format) == ("info", "auto")
    assert settings.shutdown.drain_s == 20


def test_a_short_retention_shortens_what_is_given_up_by_default(tmp_path: Path) -> None:
    """``give_up_after``: not beyond retention."""
    assert loaded(tmp_path, '[store]\nretention = "2h"').push_kit.give_up_after_s == 2 * 3600


def test_every_key_has_its_field_and_every_field_its_key() -> None:
    settings = default_settings(push_kit={"apps": {"app": {}}})
    sections = {field.name: getattr(settings, field.name) for field in fields(settings)}
    present = {f"{name}.{field.name}" for name, section in sections.items() for field in fields(section)}
    present |= {f"{APP}.{field.name}" for field in fields(settings.push_kit.apps["app"])}
    expected = {f"{key.section}.{key.field}" for key in KEYS}
    assert present == expected | {"kafka.properties", "push_kit.apps", "http.token"}


def test_relative_paths_are_taken_from_the_files_folder(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        """
        [store]
        path = "here"
        [push_kit]
        key_file = "/elsewhere/key.json"
        [push_kit.apps."1.2"]
        key_file = "keys/app.json"
        """,
    )
    assert settings.store.path == tmp_path / "here"
    assert settings.push_kit.key_file == Path("/elsewhere/key.json")
    assert settings.push_kit.apps["1.2"].key_file == tmp_path / "keys" / "app.json"


def test_a_variable_overrides_the_file(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        '[push_kit]\ntimeout = "3s"\nmax_in_flight = 5\n',
        UNPUSH__PUSH_KIT__TIMEOUT="4s",
        UNPUSH__PUSH_KIT__MAX_IN_FLIGHT="7",
        UNPUSH__PUSH_KIT__PAUSED="True",
        UNPUSH__DEAD_LETTERS__MAX_BAD_SHARE="0.25",
        PATH="/bin",
    )
    assert (settings.push_kit.timeout_s, settings.push_kit.max_in_flight, settings.push_kit.paused) == (4, 7, True)
    assert settings.dead_letters.max_bad_share == 0.25


def test_a_variable_of_an_app_keeps_the_spelling_of_its_id(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        '[push_kit.apps."Ab_c"]\ndevices_per_second = 3\n',
        UNPUSH__PUSH_KIT__APPS__Ab_c__KEY_FILE="a.json",
        UNPUSH__PUSH_KIT__APPS__x__Y__PAUSED="true",
    )
    assert settings.push_kit.apps == {
        "Ab_c": AppSettings(tmp_path / "a.json", 3, False),
        "x__Y": AppSettings(None, 0, True),
    }


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", fullmatch=True))
def test_any_app_id_can_be_set_from_the_environment(client_id: str) -> None:
    environ = {f"UNPUSH__PUSH_KIT__APPS__{client_id}__DEVICES_PER_SECOND": "9"}
    settings = settings_of({}, Path(), environ)
    assert {name: app.devices_per_second for name, app in settings.push_kit.apps.items()} == {client_id: 9}


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=4), st.text(max_size=20))
def test_a_variable_of_a_property_says_dots_as_underscores(words: list[str], text: str) -> None:
    name = ".".join(["sasl", *words])
    variable = f"UNPUSH__KAFKA__PROPERTIES__{name.replace('.', '_').upper()}"
    found = settings_of({}, Path(), {variable: text}).kafka.properties[name]
    assert (found.reveal() if isinstance(found, Secret) else found) == text


def test_a_property_may_be_written_with_and_without_quotes_around_its_name(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        """
        [kafka.properties]
        "socket.keepalive.enable" = true
        socket.timeout.ms = 5000
        """,
    )
    assert settings.kafka.properties == {"socket.keepalive.enable": "true", "socket.timeout.ms": "5000"}


@pytest.mark.parametrize("since", ['"2026-01-31T09:00:00+01:00"', '"2026-01-31t08:00:00z"', "2026-01-31T08:00:00Z"])
def test_a_moment_may_be_quoted_or_not(tmp_path: Path, since: str) -> None:
    assert loaded(tmp_path, f"[join]\nsince = {since}\n").join.since_ms == 1_769_846_400_000


def test_the_token_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  s3cret\n")
    settings = loaded(tmp_path, '[http]\nlisten = "0.0.0.0:80"\ntoken_file = "token"\n')
    assert settings.http.token == Secret("s3cret")
    assert not settings.http.listen.loopback


@pytest.mark.parametrize(
    ("written", "address", "loopback"),
    [
        ("[::1]:8070", Address("::1", 8070), True),
        ("localhost:0", Address("localhost", 0), True),
        ("127.8.9.1:1", Address("127.8.9.1", 1), True),
    ],
)
def test_where_to_listen_may_be_any_loopback_address(written: str, address: Address, loopback: bool) -> None:
    listen = default_settings(http={"listen": written}).http.listen
    assert (listen, str(listen), listen.loopback) == (address, written, loopback)


@pytest.mark.parametrize(
    ("written", "read"),
    [("10.0.0.7:8070", "http://10.0.0.7:8070"), ("https://unpush-1.example", "https://unpush-1.example"), ("", None)],
)
def test_the_advertised_address_becomes_a_base_url(written: str, read: str | None) -> None:
    assert default_settings(http={"advertise": written}).http.advertise == read


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "unpush.toml"
    file.write_bytes(b'\xef\xbb\xbf[kafka]\r\ngroup_id = "g"\r\n')
    assert load_settings(file, {}).kafka.group_id == "g"


def test_an_app_takes_what_it_lacks_from_its_section_above() -> None:
    """Contract, Settings: without a key_file here or above the app waits; paused is also per app."""
    push_kit = default_settings(
        push_kit={"key_file": "/all.json", "apps": {"own": {"key_file": "/own.json", "paused": True}, "bare": {}}}
    ).push_kit
    assert push_kit.app("own") == AppSettings(Path("/own.json"), 0, True)
    assert push_kit.app("bare") == AppSettings(Path("/all.json"), 0, False)
    assert push_kit.app("unlisted") == AppSettings(Path("/all.json"), 0, False)
    assert default_settings(push_kit={"paused": True}).push_kit.app("unlisted").paused
