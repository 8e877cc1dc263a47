"""The command ``unpush simulate``: its flags, and what a person can get wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from stream.commands import simulate
from stream.model import SettingsError
from stream.pushkit.simulator import Body, Down, End, Failure, Faults, Latency, Shape


def parsed(*flags: str) -> argparse.Namespace:
    """The flags as the command gets them."""
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    return parser.parse_args(flags)


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("20ms", Latency(Shape.FIXED, low_ms=20)),
        ("10ms..0.05s", Latency(Shape.UNIFORM, low_ms=10, high_ms=50)),
        ("p50=20ms,p99=200ms", Latency(Shape.LOGNORMAL, p50_ms=20, p99_ms=200)),
    ],
)
def test_a_latency_is_fixed_uniform_or_lognormal(text: str, latency: Latency) -> None:
    """``--latency``."""
    assert simulate._faults(parsed("--latency", text)).all.latency == latency


@pytest.mark.parametrize(
    ("what", "failure"),
    [
        ("503", Failure(status=503, rate=0.1, body=Body.HTML)),
        ("81000001", Failure(status=500, code="81000001", rate=0.1)),
        ("empty", Failure(rate=0.1, body=Body.EMPTY)),
        ("cut", Failure(End.CUT_AFTER, 0.1)),
        ("hang", Failure(End.HANG_AFTER, 0.1)),
    ],
)
def test_an_error_rate_says_how_calls_fail(what: str, failure: Failure) -> None:
    """``--error-rate`` and ``--error``."""
    assert simulate._faults(parsed("--error-rate", "0.1", "--error", what)).all.failures == (failure,)


def test_flags_stand_over_the_faults_file(tmp_path: Path) -> None:
    """``--faults FILE`` is the whole state, the other flags change it."""
    file = tmp_path / "faults.json"
    file.write_text('{"down": "reset", "all": {"devicesPerS": 5, "tokenLimit": 9}}')
    faults = simulate._faults(parsed("--faults", str(file), "--devices-per-second", "7"))
    assert (faults.down, faults.all.devices_per_s, faults.all.token_limit) == (Down.RESET, 7.0, 9)
    assert simulate._faults(parsed()) == Faults()


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--app", "1"],
        ["--app", "1=/no/such/file"],
        ["--app", "=x"],
        ["--app", "1", "--port", "65536"],
        ["--app", "1", "--tls-key", "x"],
        ["--app", "1", "--latency", "3"],
        ["--app", "1", "--latency", "50ms..10ms"],
        ["--app", "1", "--latency", "99999d"],
        ["--app", "1", "--error-rate", "2"],
        ["--app", "1", "--error-rate", "nan"],
        ["--app", "1", "--error-rate", "0.1", "--error", "x"],
        ["--app", "1", "--error", "x"],
        ["--app", "1", "--error", "999"],
        ["--app", "1", "--faults", "/no/such/file"],
        ["--app", "1", "--devices-per-second", "-1"],
    ],
)
def test_a_wrong_flag_is_one_sentence(flags: list[str], tmp_path: Path) -> None:
    """SettingsError, which is exit 2."""
    keys = [] if flags == ["--app", "1"] else ["--make-keys", str(tmp_path)]
    with pytest.raises(SettingsError):
        simulate.run(parsed(*flags, *keys))


def test_a_faults_file_that_lacks_something_is_one_sentence(tmp_path: Path) -> None:
    """As over HTTP: what it lacks is named."""
    file = tmp_path / "faults.json"
    file.write_text('{"rules": {"answers": {"80300017": {"status": 200}}}}')
    with pytest.raises(SettingsError, match="80300017 lacks code"):
        simulate._faults(parsed("--faults", str(file)))


@pytest.mark.parametrize("missing", ["--tls-cert", "--tls-key"])
def test_a_certificate_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    """Exit 2; that a certificate is not usable is said of one that was read."""
    here, gone = tmp_path / "here.pem", tmp_path / "gone.pem"
    here.touch()
    files = {"--tls-cert": here, "--tls-key": here} | {missing: gone}
    flags = [each for flag, file in files.items() for each in (flag, str(file))]
    with pytest.raises(SettingsError, match=rf"{missing} {gone} cannot be read: No such file"):
        simulate.run(parsed("--app", "1", "--make-keys", str(tmp_path), *flags))


def test_a_key_file_that_is_none_is_refused_without_quoting_it(tmp_path: Path) -> None:
    """No secret in any error."""
    file = tmp_path / "key.json"
    file.write_text('{"private_key": "SECRET", "project_id": "p"}')
    with pytest.raises(SettingsError) as caught:
        simulate.run(parsed("--app", f"1={file}"))
    assert "SECRET" not in str(caught.value)


def test_keys_once_made_are_used_again(tmp_path: Path) -> None:
    """``--make-keys`` does not replace a key that clients already have."""
    first = simulate._apps(["1"], tmp_path)
    assert simulate._apps(["1"], tmp_path) == first
