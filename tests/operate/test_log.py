"""Beauty, rule 9, and contract, Settings: one event a line, and no secret in it."""

from __future__ import annotations

import json
import logging
import warnings

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from stream.operate import log


def test_an_event_is_one_json_line_on_stderr_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "auto")
    structlog.get_logger().info("shard_arrived", shard=3)
    structlog.get_logger().debug("too_small")
    out, err = capsys.readouterr()
    event = json.loads(err)
    assert (out, event["event"], event["shard"], event["level"]) == ("", "shard_arrived", 3, "info")
    assert event["timestamp"].endswith("Z")


def test_the_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "console")
    structlog.get_logger().debug("shard_arrived", shard=3)
    assert "shard_arrived" in capsys.readouterr().err


def test_what_libraries_log_goes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    logging.getLogger("aiohttp").info("chatter")
    logging.getLogger("aiohttp").warning("sent %s", "Authorization: Bearer abc.def")
    event = json.loads(capsys.readouterr().err)
    assert (event["logger"], event["event"]) == ("aiohttp", "sent Authorization: Bearer (hidden)")


def test_what_libraries_warn_of_goes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, as an event; Python's own way would be two raw ones."""
    log.configure("info", "json")
    warnings.warn("the key is short", UserWarning, stacklevel=1)
    event = json.loads(capsys.readouterr().err)
    assert (event["logger"], event["event"]) == ("py.warnings", "UserWarning: the key is short")
    assert event["level"] == "warning"


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_is_masked_too(capsys: pytest.CaptureFixture[str], format: log.Format) -> None:
    log.configure("info", format)
    try:
        raise RuntimeError("Bearer s3cr3t")
    except RuntimeError:
        structlog.get_logger().exception("went_wrong")
        logging.getLogger("x").exception("went wrong")
    err = capsys.readouterr().err
    assert err.count("RuntimeError: Bearer (hidden)") == 2
    assert "s3cr3t" not in err


_TOKENS = st.from_regex(
    r"(Bearer|bearer) [A-Za-z0-9._~+/=-]{8,40}|eyJ[\w-]{8,30}\.[\w-]{8,30}\.[\w-]{8,30}", fullmatch=True
)


@given(_TOKENS, st.sampled_from(["", "x: ", "{'Authorization': '"]))
def test_what_looks_like_a_bearer_token_is_hidden_wherever_it_lies(token: str, before: str) -> None:
    secret = token.removeprefix("Bearer ").removeprefix("bearer ")
    text = f"{before}{token}"
    event = {"event": text, "list": [text, {"deep": (text,)}], "bytes": text.encode(), "error": ValueError(text)}
    assert secret not in repr(log.masked(None, "info", dict(event)))


@given(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.integers())
def test_all_else_stays_as_it_is(word: str, number: int) -> None:
    event = {"event": word, "n": number, "none": None, "share": 0.5, "flag": True, "list": [word]}
    assert log.masked(None, "info", dict(event)) == event
