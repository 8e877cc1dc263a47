"""Contract, Settings: a mistake is refused with the key's full name, the value, and what would be right."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.model import SettingsError
from stream.settings import load_settings, settings_of


def said(tmp_path: Path, text: str, **environ: str) -> str:
    file = tmp_path / "unpush.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(file, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "value", "cure"),
    [
        # unknown
        ("[push_kit]\nmax_in_flite = 1", "push_kit.max_in_flite", "1", "did you mean push_kit.max_in_flight?"),
        ('[store]\nnot_found_after = "1s"', "store.not_found_after", '"1s"', "did you mean join.not_found_after?"),
        ("[pushkit]\nurl = 1", "pushkit", "a section", "did you mean push_kit?"),
        ("[xyzzy]", "xyzzy", "a section", "docs/settings.md"),
        ("paused = true", "paused", "true", "no such key"),
        ('[push_kit.apps.a]\nkeyfile = "x"', "push_kit.apps.a.keyfile", "", "did you mean push_kit.apps.*.key_file?"),
        ('[push_kit.apps."1.2"]\nurl = "x"', 'push_kit.apps."1.2".url', '"x"', "no such key"),
        # of a wrong type
        ("[kafka]\ngroup_id = 5", "kafka.group_id", "5", "in quotes"),
        ('[kafka]\nbootstrap_servers = ["a:1"]', "kafka.bootstrap_servers", '["a:1"]', "commas between"),
        ('[push_kit]\npaused = "false"', "push_kit.paused", '"false"', "without quotes"),
        ('[push_kit]\nmax_in_flight = "64"', "push_kit.max_in_flight", '"64"', "without quotes"),
        ("[push_kit]\nmax_in_flight = true", "push_kit.max_in_flight", "true", "a whole number"),
        ("[push_kit]\ntimeout = 10", "push_kit.timeout", "10", '"10s"'),
        ("kafka = 5", "kafka", "5", "[kafka]"),
        ("[push_kit]\napps = []", "push_kit.apps", "[]", "[push_kit.apps]"),
        ('[push_kit.apps]\nA = "k.json"', "push_kit.apps.A", '"k.json"', "section"),
        ("[kafka]\nproperties = 1", "kafka.properties", "1", "[kafka.properties]"),
        ('[kafka.properties]\n"debug" = ["a"]', "kafka.properties.debug", '["a"]', "a text"),
        ('[kafka]\ngroup_id.a = "x"', "kafka.group_id", "a section", "in quotes"),
        # impossible
        ('[push_kit]\ntimeout = "-1s"', "push_kit.timeout", '"-1s"', '"10s"'),
        ('[push_kit]\ntimeout = "0s"', "push_kit.timeout", '"0s"', "between 10ms and 10m"),
        ('[store]\nretention = "59s"', "store.retention", '"59s"', "between 1m"),
        ('[store]\npath = ""', "store.path", '""', "a path"),
        ('[store]\npath = "/"', "store.path", '"/"', "a directory of its own"),
        ('[kafka]\nbootstrap_servers = "a:1,b:99999"', "kafka.bootstrap_servers", '"a:1,b:99999"', "host:port"),
        ('[kafka]\nbootstrap_servers = "a:0"', "kafka.bootstrap_servers", '"a:0"', "host:port"),
        ('[kafka.properties]\n"acks\\u0000x" = "0"', r'kafka.properties."acks\u0000x"', '"0"', "no control characters"),
        ("[push_kit]\nmax_in_flight = 0x" + "f" * 5_000, "push_kit.max_in_flight", "a number of thousands", "from 1"),
        ("[push_kit]\nmax_in_flight = 0", "push_kit.max_in_flight", "0", "from 1"),
        ("[push_kit.apps.a]\ndevices_per_second = -1", "push_kit.apps.a.devices_per_second", "-1", "from 0"),
        ("[dead_letters]\nmax_bad_share = 1.5", "dead_letters.max_bad_share", "1.5", "from 0 to 1"),
        ("[dead_letters]\nmax_bad_share = nan", "dead_letters.max_bad_share", "NaN", "from 0 to 1"),
        ("[lanes]\nlow = 2", "lanes.low", "2", "from 0 to 1"),
        ("[lanes]\nhigh = 0.7\nmedium = 0.3", "lanes.high", "0.7", "at most 0.9"),
        ('[kafka]\nbootstrap_servers = ""', "kafka.bootstrap_servers", '""', "host:port"),
        ('[kafka]\nbootstrap_servers = "http://a:1"', "kafka.bootstrap_servers", '"http://a:1"', "host:port"),
        ('[kafka]\nbootstrap_servers = "a:1;b:1"', "kafka.bootstrap_servers", '"a:1;b:1"', "commas"),
        ('[kafka]\ngroup_protocol = "kip-848"', "kafka.group_protocol", '"kip-848"', '"classic" or "consumer"'),
        ('[topics]\nmessage_sent = "a b"', "topics.message_sent", '"a b"', "letters"),
        ('[topics]\nmessage_sent = ".."', "topics.message_sent", '".."', "letters"),
        ('[log]\nlevel = "INFO"', "log.level", '"INFO"', '"info"'),
        ('[log]\nformat = "text"', "log.format", '"text"', '"json"'),
        ('[join]\nsince = "yesterday"', "join.since", '"yesterday"', "RFC 3339"),
        ('[join]\nsince = "2026-01-31T08:00:00"', "join.since", '"2026-01-31T08:00:00"', "RFC 3339"),
        ('[join]\nsince = "2026-02-31T08:00:00Z"', "join.since", '"2026-02-31T08:00:00Z"', "RFC 3339"),
        ('[push_kit]\nurl = "push.example"', "push_kit.url", '"push.example"', "http or https"),
        ('[push_kit]\nurl = "ftp://a"', "push_kit.url", '"ftp://a"', "http or https"),
        ('[push_kit]\nurl = "https://a/v1"', "push_kit.url", '"https://a/v1"', "without a path"),
        ('[push_kit]\nurl = "https://a:99999"', "push_kit.url", '"https://a:99999"', "http or https"),
        ('[push_kit]\nurl = ""', "push_kit.url", '""', "http or https"),
        ('[push_kit]\nproxy = "proxy:3128"', "push_kit.proxy", '"proxy:3128"', "http://proxy:3128"),
        ('[push_kit]\nproxy = "http://proxy"', "push_kit.proxy", '"http://proxy"', "with its port"),
        ('[push_kit]\nproxy = "https://proxy:3128"', "push_kit.proxy", '"https://proxy:3128"', "an http address"),
        ('[push_kit]\nproxy = "http://proxy:x"', "push_kit.proxy", '"http://proxy:x"', "with its port"),
        ('[http]\nlisten = "8070"', "http.listen", '"8070"', '"127.0.0.1:8070"'),
        ('[http]\nlisten = ":8070"', "http.listen", '":8070"', '"127.0.0.1:8070"'),
        ('[http]\nlisten = "a:65536"', "http.listen", '"a:65536"', '"127.0.0.1:8070"'),
        ('[http]\nadvertise = "a/b"', "http.advertise", '"a/b"', '"10.0.0.7:8070"'),
        # in combination
        ('[push_kit]\ngive_up_after = "73h"', "push_kit.give_up_after", '"73h"', "store.retention, 72h"),
        ('[push_kit]\nretry_first = "2m"', "push_kit.retry_first", '"2m"', "push_kit.retry_longest, 1m"),
        ('[http]\nlisten = "0.0.0.0:8070"', "http.listen", '"0.0.0.0:8070"', "http.token_file"),
        ('[http]\nlisten = "[::]:8070"', "http.listen", '"[::]:8070"', "http.token_file"),
        ('[avro]\nwrite_format = "confluent"', "avro.write_format", '"confluent"', "avro.registry_url"),
        ('[topics]\ndead_letter = "push.message-sent"', "topics.dead_letter", '"push.message-sent"', "message_sent"),
        ("[guard]\nmax_devices_per_hour = -5", "guard.max_devices_per_hour", "-5", "0"),
        ('[http]\ntoken_file = "absent"', "http.token_file", "absent", "No such file"),
    ],
)
def test_a_mistake_is_said_with_key_value_and_cure(tmp_path: Path, text: str, key: str, value: str, cure: str) -> None:
    message = said(tmp_path, text)
    assert message.startswith(f"{key} = ")
    assert value in message
    assert cure in message


@pytest.mark.parametrize("name", ["a b", "a/b", ""])
def test_a_section_that_is_named_wrongly_has_no_value(tmp_path: Path, name: str) -> None:
    """Its name is the mistake, and what would be right is said."""
    assert said(tmp_path, f'[push_kit.apps."{name}"]\ndevices_per_second = 1') == (
        f'push_kit.apps."{name}": an app\'s section is named by its Client ID, without blanks or slashes'
    )


@pytest.mark.parametrize(
    "name",
    [
        *("bootstrap.servers", "metadata.broker.list", "group.id", "group.protocol", "partition.assignment.strategy"),
        *("enable.auto.commit", "auto.commit.enable", "auto.offset.reset", "isolation.level", "enable.partition.eof"),
        *("enable.idempotence", "acks", "request.required.acks", "transactional.id", "delivery.report.only.error"),
        *("test.mock.num.brokers", "error_cb", "logger", "default.topic.config", "enable.auto.offset.store"),
    ],
)
def test_a_property_that_the_promises_rest_on_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """Contract, Settings: any librdkafka property, except those that the promises rest on (refused)."""
    message = said(tmp_path, f'[kafka.properties]\n"{name}" = "1"')
    assert message.startswith(f'kafka.properties.{name} = "1": it cannot be set: ')


@pytest.mark.parametrize("name", ["session.timeout.ms", "heartbeat.interval.ms", "group.instance.id"])
def test_what_the_broker_sets_in_the_newer_protocol_is_refused_with_it_alone(tmp_path: Path, name: str) -> None:
    properties = f'[kafka.properties]\n"{name}" = "1"\n'
    assert name in said(tmp_path, f'[kafka]\ngroup_protocol = "consumer"\n{properties}')
    assert settings_of({"kafka": {"properties": {name: "1"}}}, tmp_path, {}).kafka.properties == {name: "1"}


@pytest.mark.parametrize(
    ("variable", "value", "key", "cure"),
    [
        ("UNPUSH__PUSH_KIT__TIMEOUT", "10", "push_kit.timeout", '"10s"'),
        ("UNPUSH__PUSH_KIT__PAUSED", "yes", "push_kit.paused", "true or false"),
        ("UNPUSH__PUSH_KIT__MAX_IN_FLIGHT", "many", "push_kit.max_in_flight", "a whole number"),
        ("UNPUSH__PUSHKIT__TIMEOUT", "10s", "pushkit.timeout", "did you mean push_kit.timeout?"),
        ("UNPUSH__TIMEOUT", "10s", "timeout", "did you mean push_kit.timeout?"),
        ("UNPUSH__KAFKA__PROPERTIES", "x", "kafka.properties", "no such key"),
        ("UNPUSH__PUSH_KIT__APPS__A", "x", "push_kit.apps.a", "UNPUSH__PUSH_KIT__APPS__<Client ID>__KEY_FILE"),
        ("UNPUSH__", "x", "", "no such key"),
        ("UNPUSH__KAFKA__PROPERTIES__ACKS", "1", "kafka.properties.acks", "cannot be set"),
    ],
)
def test_a_wrong_variable_is_named_too(tmp_path: Path, variable: str, value: str, key: str, cure: str) -> None:
    message = said(tmp_path, "", **{variable: value})
    assert message.startswith(f'{key} = "{value}" (from {variable}): ') or not key
    assert cure in message


def test_a_number_of_thousands_of_digits_is_a_mistake_like_any_other(tmp_path: Path) -> None:
    assert "digits" in said(tmp_path, "[push_kit]\nmax_in_flight = 1" + "0" * 5_000)


def test_broken_toml_is_said_with_its_line(tmp_path: Path) -> None:
    assert "line 2" in said(tmp_path, "[kafka]\ngroup_id = unquoted\n")


@pytest.mark.parametrize(
    "text",
    [
        "kafka.properties" + ".u" * 2_000 + " = 1",
        "log.level" + ".u" * 2_000 + " = 1",
        "[log]\nlevel = [{" + "u." * 2_000 + "u = 1}]",
    ],
)
def test_tables_in_tables_without_end_are_a_mistake_like_any_other(tmp_path: Path, text: str) -> None:
    """Found by `make fuzz`: a RecursionError's traceback."""
    said(tmp_path, text)


def test_a_name_without_end_is_cut(tmp_path: Path) -> None:
    """Found by `make fuzz`: a line of as many characters as the name has."""
    assert len(said(tmp_path, f"[kafka]\n{'b' * 30_000} = 1")) < 400
    assert len(said(tmp_path, "", **{f"UNPUSH__{'B' * 30_000}": "1"})) < 700


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[kafka]\ngroup_id = "\xe9"\n')
    for path, reason in ((tmp_path / "absent", "no settings file"), (tmp_path, "directory"), (latin, "not UTF-8")):
        with pytest.raises(SettingsError, match=reason) as caught:
            load_settings(path, {})
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(("content", "reason"), [(b" \n", "empty"), (b"a b", "one word"), ("é".encode(), "ASCII")])
def test_a_token_file_must_hold_a_token(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "token").write_bytes(content)
    message = said(tmp_path, '[http]\ntoken_file = "token"')
    assert message.startswith("http.token_file = ")
    assert reason in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_token_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "token").chmod(0)
    assert "Permission denied" in said(tmp_path, '[http]\ntoken_file = "token"')


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner)
)
_SECTIONS = st.sampled_from(["kafka", "topics", "avro", "store", "join", "push_kit", "dead_letters", "http", "log"])
_KEYS = st.sampled_from(["properties", "apps", "timeout", "path", "since", "listen", "registry_url", "level", "url"])


@given(
    st.dictionaries(_SECTIONS | st.text(max_size=4), st.dictionaries(_KEYS, _VALUES, max_size=3) | _VALUES, max_size=3)
)
def test_whatever_the_file_holds_nothing_but_a_settings_error_is_raised(table: dict[str, object]) -> None:
    with suppress(SettingsError):
        settings_of(table, Path("folder"), {})


@given(st.dictionaries(st.text(max_size=20).map(lambda name: f"UNPUSH__{name}"), st.text(max_size=8), max_size=3))
def test_whatever_the_environment_holds_nothing_but_a_settings_error_is_raised(environ: dict[str, str]) -> None:
    with suppress(SettingsError):
        settings_of({}, Path("folder"), environ)
