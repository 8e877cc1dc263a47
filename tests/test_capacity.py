"""What docs/capacity.md counts with: its program runs, and its numbers are those that were measured."""

from __future__ import annotations

import json
import re
import secrets
import tracemalloc
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from stream.model import Outcome, RevokeResult, Send, SendHead, SendPart, Severity
from stream.wire.wire import Wire
from tests.state.stored import T0_MS, add_sends, open_shard
from tests.test_documents import ROOT, blocks

PAGE = ROOT / "docs" / "capacity.md"
(PROGRAM,) = blocks(PAGE, "python")
GIVEN: dict[str, Any] = {}
with redirect_stdout(StringIO()) as PRINTED:
    exec(compile(PROGRAM, "capacity.py", "exec"), GIVEN)


def test_the_program_prints_what_the_page_shows() -> None:
    assert [PRINTED.getvalue()] == blocks(PAGE, "text")


def test_the_measured_numbers_are_those_of_the_sample() -> None:
    """Each names its row; where the sample is a new one, write the new number, and what the program prints then."""
    sample = json.loads((ROOT / "bench" / "samples" / "2-cores.json").read_text())
    medians = {f"{row['part']}: {row['what']}": round(row["median"]) for row in sample["figures"]}
    named = re.findall(r"^(\w+) = \w+  # ([a-e]: .+)$", PROGRAM, re.MULTILINE)
    assert len(named) == 5
    assert {name: GIVEN[name] for name, _ in named} == {name: medians[row] for name, row in named}


@pytest.mark.parametrize(("tokens", "sends"), [(1, 60_000), (1_000, 200)])
def test_a_stored_send_takes_no_more_than_is_said(tmp_path: Path, tokens: int, sends: int) -> None:
    """Its record, and so many bytes of the store beside it."""
    wire, (store, shard) = Wire(), open_shard(tmp_path)
    token_bytes, written = GIVEN["TOKEN_BYTES"], 0
    for first in range(0, sends, 2_000):
        rows = [
            (offset, f"message-{offset:010}", T0_MS, send(wire, offset, tokens, token_bytes))
            for offset in range(first, min(first + 2_000, sends))
        ]
        add_sends(shard, rows)
        written += sum(len(value) for *_, value in rows)
        if shard.run_is_due:
            shard.write_run()
    store.flush()
    assert written / sends <= GIVEN["SEND_BYTES"] + tokens * (token_bytes + 2)
    assert 0.9 * written < store.bytes_on_disk() <= written + sends * GIVEN["STORED_BYTES"] + (1 << 20)
    store.close()


def send(wire: Wire, number: int, tokens: int, token_bytes: int) -> bytes:
    """A send as the page has it; its tokens cannot be compressed beyond what hexadecimal allows."""
    head = SendHead(f"message-{number:010}", "104729331", 7001, 0, T0_MS, None)
    return wire.encode_send(Send(head, tuple(secrets.token_hex(token_bytes // 2).encode() for _ in range(tokens))))


def test_a_condemned_message_takes_no_more_memory_than_is_said() -> None:
    """Its digest in the shard's set, at the set's emptiest: just grown."""
    tracemalloc.start()
    try:
        condemned = {number.to_bytes(8) for number in range(80_000)}
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / len(condemned) <= GIVEN["CONDEMNED_BYTES"]


def test_a_result_is_as_large_as_is_said() -> None:
    """Some 300 bytes, and up to 20 more for each send that it covers."""
    alone, many = len(encoded(1)), len(encoded(1_000))
    assert 150 < alone < 300
    assert (many - alone) / 999 < 20


def encoded(sends: int) -> bytes:
    """A result of so many sends, with ids as long as ours and theirs are."""
    parts = tuple(SendPart(11, 4_000_000_000 + number, 0, 1) for number in range(sends))
    head = ("3f" * 16, "finding-" + "9" * 24, "campaign-" + "7" * 24, Severity.HIGH, "wrong price", 1_795_867_200_000)
    result = RevokeResult(
        *head, Outcome.REVOKED, "104729331", 7001, 0, parts, sends, sends, (), 1, 200, "80000000", None, "9" * 32,
        sends, sends, False, 1_795_867_200_000, 1_795_867_200_031,
    )  # fmt: skip
    return Wire().encode_result(result)
