"""Contract, Settings: secrets come from files or the environment and are never printed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from stream.model import SettingsError
from stream.settings import Secret, settings_of

HUSH = "hunter2"


def test_a_secret_shows_itself_to_reveal_alone() -> None:
    secret = Secret(HUSH)
    assert HUSH not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == HUSH
    assert (secret == Secret(HUSH), secret == Secret("other")) == (True, False)


def test_settings_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(HUSH)
    settings = settings_of(
        {
            "kafka": {"properties": {"sasl.password": HUSH, "ssl": {"key": {"pem": HUSH}}}},
            "http": {"token_file": "token"},
        },
        tmp_path,
        {
            "UNPUSH__AVRO__REGISTRY_PASSWORD": HUSH,
            "UNPUSH__KAFKA__PROPERTIES__SSL_KEY_PASSWORD": HUSH,
            "UNPUSH__PUSH_KIT__PROXY_USER": "user",
            "UNPUSH__PUSH_KIT__PROXY_PASSWORD": HUSH,
        },
    )
    assert HUSH not in f"{settings} {asdict(settings)}"
    assert settings.avro.registry_password == Secret(HUSH)
    assert settings.kafka.properties["ssl.key.pem"] == Secret(HUSH)


@pytest.mark.parametrize(
    "table",
    [
        {"kafka": {"sasl_password": HUSH}},
        {"kafka": {"properties": {"sasl.password": [HUSH]}}},
        {"kafka": {"group_id": {"password": HUSH}}},
        {"kafka": {"properties": [{"sasl": {"username": "u", "password": HUSH}}]}},
        {"kafka": {"properties": f"sasl.password={HUSH}"}},
        {"kafka": {"properties": [f"sasl.password={HUSH}"]}},
        {"push_kit": {"key_file": f'{{"project_id": "1", "private_key": "{HUSH}"}}'}},
        {"avro": {"registry_password": HUSH}},
        {"avro": {"registry_url": f"http://user:{HUSH}@registry:8081"}},
        {"push_kit": {"url": f"https://user:{HUSH}@host"}},
        {"push_kit": {"proxy": f"http://user:{HUSH}@proxy:3128"}},
        {"push_kit": {"proxy": f"user:{HUSH}@proxy:3128"}},
        {"push_kit": {"proxy": f"http://user:a/{HUSH}@proxy:3128"}},
        {"push_kit": {"proxy": f"http://user:{HUSH}{'x' * 80}@proxy:3128"}},
        {"push_kit": {"proxi": f"http://user:{HUSH}@proxy:3128"}},
        {"push_kit": {"proxy_password": HUSH}},
        {"push_kit": {"private_key": HUSH}},
        {"push_kit": {"timeout": f"-----BEGIN PRIVATE KEY-----{HUSH}"}},
        {"push_kit": {"key_file": f'{{"private_key": "{HUSH}"}}\n'}},
        {"http": {"token": HUSH}},
        {"http": {"listen": f"Bearer {HUSH}"}},
    ],
)
def test_a_mistake_with_a_secret_does_not_show_it(table: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(table, Path(), {})
    assert HUSH not in str(caught.value)
    assert " = " in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("registry_pasword", "registry_passwrod", "registry_paswd", "registry_pw", "proxy_pwd", "tokem", "secert"),
        *("sasl.pasword", "ssl.key.pasword", "ssl.key.pen", "sasl.oauthbearer.client.secrt", "sasl.oauthbearer.confg"),
    ],
)
def test_a_mistyped_name_of_a_secret_hides_it_too(name: str) -> None:
    """In the file, in the environment, and as a property that librdkafka refuses."""
    for table, environment in (
        ({"avro": {name: HUSH}}, {}),
        ({}, {f"UNPUSH__AVRO__{name.upper()}": HUSH}),
    ):
        with pytest.raises(SettingsError) as caught:
            settings_of(table, Path(), environment)
        assert HUSH not in str(caught.value)
        assert "(hidden)" in str(caught.value)
    settings = settings_of({"kafka": {"properties": {name: HUSH}}}, Path(), {})
    assert HUSH not in f"{settings.kafka.properties}"


@pytest.mark.parametrize(
    "name", ["token_file", "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.scope", "pool"]
)
def test_what_is_no_secret_is_shown(name: str) -> None:
    """The key, the value, and what would be right."""
    with pytest.raises(SettingsError, match="visible"):
        settings_of({"join": {name: "visible"}}, Path(), {})


@pytest.mark.parametrize("name", ["KAFKA__SASL_PASSWORD", "AVRO__PASSWORD", "HTTP__TOKEN", "KAFKA__PROPERTIES"])
def test_a_wrong_variable_with_a_secret_does_not_show_it(name: str) -> None:
    """The likeliest slip of all: PROPERTIES__ forgotten."""
    with pytest.raises(SettingsError) as caught:
        settings_of({}, Path(), {f"UNPUSH__{name}": HUSH if name != "KAFKA__PROPERTIES" else "{secret: hunter2}"})
    assert HUSH not in str(caught.value)
    assert f"UNPUSH__{name}" in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("avro", "registry_user"),
        ("avro", "registry_password"),
        ("push_kit", "proxy_user"),
        ("push_kit", "proxy_password"),
    ],
)
def test_credentials_do_not_belong_in_the_file(section: str, key: str) -> None:
    with pytest.raises(SettingsError, match=f"set UNPUSH__{section.upper()}__{key.upper()} in the environment"):
        settings_of({section: {key: HUSH}}, Path(), {})


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"PASSWORD": HUSH}, "push_kit.proxy_user"),
        ({"USER": f"user:{HUSH}", "PASSWORD": "x"}, "colon"),
    ],
)
def test_a_proxys_credentials_that_make_no_sense_are_refused(given: dict[str, str], names: str) -> None:
    environ = {f"UNPUSH__PUSH_KIT__PROXY_{name}": value for name, value in given.items()}
    with pytest.raises(SettingsError, match=names) as caught:
        settings_of({"push_kit": {"proxy": "http://proxy:3128"}}, Path(), environ)
    assert HUSH not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "names"), [({"USER": "u"}, "avro.registry_password"), ({"USER": f"u:{HUSH}", "PASSWORD": "x"}, "colon")]
)
def test_a_registrys_credentials_that_would_not_be_sent_are_refused(given: dict[str, str], names: str) -> None:
    environ = {f"UNPUSH__AVRO__REGISTRY_{name}": value for name, value in given.items()}
    with pytest.raises(SettingsError, match=names) as caught:
        settings_of({}, Path(), environ)
    assert HUSH not in str(caught.value)
