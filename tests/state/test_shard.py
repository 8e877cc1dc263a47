"""One shard: what is put in is found again, whole and in order, whatever runs, buckets, restarts and threads do."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.model import Outcome, RejectedToken, RevokeResult, SendPart, StoreCorrupt, Topic
from stream.service.ledger import entries
from stream.state import dropping, folder, index, keys
from stream.state import shard as shards
from stream.state.index import Part, blocks, found_in
from stream.state.packs import Batch, sends_as_puts, unpack, unsealed
from stream.state.records import (
    pack_event,
    pack_mark,
    pack_rejects,
    unpack_event,
    unpack_mark,
    unpack_rejects,
)
from stream.state.shard import EVERYTHING, Shard
from stream.state.store import BLOB_MIN_BYTES
from stream.wire.looks import records_of
from stream.work.cover import Kind, Mark
from stream.work.endings import bare_result
from tests.state.stored import HOUR_MS, T0_MS, add_sends, open_shard, walked
from tests.work.making import violation

numbers = st.integers(0, 2**63 - 1)
small = st.integers(0, 2**31 - 1)
digests = st.binary(min_size=8, max_size=8)


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    opened, made = open_shard(tmp_path)
    yield made
    opened.close()


# --- keys and values


@given(st.tuples(numbers, numbers), st.tuples(numbers, numbers), digests)
def test_keys_sort_as_their_numbers_do(one: tuple[int, int], other: tuple[int, int], digest: bytes) -> None:
    """Numbers are big-endian, so that keys sort."""
    head = keys.head(b"S", 3, 77)
    made = [keys.name(head, each[0]) for each in (one, other)]
    assert (made[0] < made[1]) == (one[0] < other[0])
    events = [keys.stamped(head + digest, *each) for each in (one, other)]
    assert (events[0] < events[1]) == (one < other)
    assert [tuple(keys.stamp_of(each)) for each in events] == [one, other]
    assert all(keys.bucket_of(each) == 77 for each in (*made, *events))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            numbers,
            digests,
            st.binary(max_size=400) | st.just(bytes(9_000)) | st.just(bytes(BLOB_MIN_BYTES)),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_packs_hold_every_send_once_in_order(sends: list[tuple[int, int, bytes, bytes]]) -> None:
    """What a batch of sends is written as gives back each with its offset, time, digest and record."""
    offsets = list(accumulate(step for step, *_ in sends))
    times, records = np.array([time for _, time, _, _ in sends]), records_of([value for *_, value in sends])
    batch = Batch(offsets, times, b"".join(digest for *_, digest, _ in sends), records)
    written = list(sends_as_puts(3, 77, batch))
    puts = [(key, unsealed(value) if key.startswith(b"L") else value) for key, value in written]
    assert [key for key, _ in puts] == [
        keys.name(keys.head(key[:1], 3, 77), next(unpack(pack)).offset) for key, pack in puts
    ]
    back = [(send, bytes(pack[send.start : send.end])) for _, pack in puts for send in unpack(pack)]
    assert [(send.offset, send.timestamp_ms, send.digest, value) for send, value in back] == [
        (offset, time, digest, value) for offset, (_, time, digest, value) in zip(offsets, sends, strict=True)
    ]


def test_the_stores_layout_is_the_one_of_its_version() -> None:
    """A store of another layout is moved aside; what changes a byte here changes ``folder.VERSION`` too."""
    values = [b"one", b"two", bytes(BLOB_MIN_BYTES)]
    batch = Batch([62, 63, 64], np.array([5, 5, 6]), b"d" * 24, records_of(values))
    part = Part(7, b"d" * 24, [62, 63, 64], (62, 65), 1)
    written = [*sends_as_puts(3, 7, batch), *blocks(3, 9, [part])]
    laid_out = b"".join(part for pair in written for part in (len(pair[0]).to_bytes(4, "big"), *pair))
    assert (folder.VERSION, xxhash.xxh3_64_hexdigest(laid_out)) == (3, "b3b862921cc9b345")


@given(st.integers(0, BLOB_MIN_BYTES + 37), st.integers(1, 255))
def test_one_wrong_byte_of_a_large_send_is_corruption(place: int, change: int) -> None:
    """A large one begins with a seal, which a reader verifies: RocksDB does not, where it is asked for speed."""
    batch = Batch([7], 5, b"d" * 8, records_of([bytes(BLOB_MIN_BYTES)]))
    [(_, value)] = sends_as_puts(3, 7, batch)
    assert len(value) == BLOB_MIN_BYTES + 38
    assert unsealed(value)
    wrong = bytearray(value)
    wrong[place] ^= change
    with pytest.raises(StoreCorrupt):
        unsealed(bytes(wrong))


@pytest.mark.parametrize("step", [1, 3])
def test_every_send_of_a_long_batch_is_found_by_its_offset(shard: Shard, step: int) -> None:
    """Found by its bucket and offset: each pack lies in the stretch of offsets in which it is looked for."""
    rows = [(37 + step * at, f"m-{at}", T0_MS, b"%d" % at) for at in range(300)]
    add_sends(shard, rows)
    for offset, message, time, value in rows:
        assert [(send.offset, send.timestamp_ms, send.value) for send in walked(shard, message)] == [
            (offset, time, value)
        ]


def test_a_large_send_among_small_ones_is_found_and_so_are_its_neighbours(shard: Shard) -> None:
    """A send is found by its bucket and offset."""
    sizes = [200, 200, BLOB_MIN_BYTES, 200, BLOB_MIN_BYTES // 2, BLOB_MIN_BYTES // 2 + 1, *[200] * 10]
    add_sends(shard, [(at, f"m{at}", T0_MS, bytes(size)) for at, size in enumerate(sizes)])
    assert [[len(send.value) for send in walked(shard, f"m{at}")] for at in range(len(sizes))] == [[n] for n in sizes]


def test_sends_that_lie_alone_and_in_packs_are_found_in_turn(shard: Shard) -> None:
    """A reader looks first where the last one was, and then in the other place."""
    sizes = [200, BLOB_MIN_BYTES, 200, 200, BLOB_MIN_BYTES, BLOB_MIN_BYTES, 200]
    for at, size in enumerate(sizes):
        add_sends(shard, [(at, "all", T0_MS, bytes(size))])  # a batch each, so that a large one lies alone
    assert [len(send.value) for send in walked(shard, "all")] == sizes
    assert [[len(send.value) for send in walked(shard, "all", most=most)] for most in (1, 2)] == [sizes, sizes]


@given(st.integers(0, 0xFFFF), st.integers(0, keys.LAST_BUCKET), st.sampled_from(keys.DATA_KINDS), digests, numbers)
def test_a_prefix_is_fifteen_bytes_of_every_key(
    number: int, bucket: int, kind: bytes, digest: bytes, offset: int
) -> None:
    """The prefix is what RocksDB's filters use; a scan of one message stays inside one prefix."""
    head = keys.head(kind, number, bucket)
    prefix = head + digest
    assert len(head) == keys.HEAD_BYTES
    assert len(prefix) == keys.PREFIX_BYTES
    assert (
        keys.name(head, offset)[: keys.PREFIX_BYTES]
        == keys.name(head, offset ^ (keys.STRETCH - 1))[: keys.PREFIX_BYTES]
    )
    assert keys.mark(prefix, offset, 1, 2).startswith(prefix)
    assert keys.numbered(prefix, offset).startswith(prefix)
    assert head < keys.head(kind, number, bucket + 1)


@given(numbers, small, small, st.sampled_from(Kind), st.text(min_size=1), numbers, numbers, st.booleans())
def test_a_mark_comes_back_as_it_went(
    offset: int, first: int, places: int, kind: Kind, name: str, result: int, time_ms: int, rejects: bool
) -> None:
    """Marks: the reverse, from key and value."""
    mark = Mark(offset, first, places, kind, name, result, time_ms, rejects)
    key = keys.mark(keys.head(b"M", 1, 2) + b"d" * 8, offset, first, result)
    assert unpack_mark(key, pack_mark(mark)) == mark


@given(st.lists(st.tuples(st.text(), st.binary()), max_size=3).map(tuple), st.binary())
def test_an_event_comes_back_with_its_trace(trace: tuple[tuple[str, bytes], ...], value: bytes) -> None:
    """Its trace headers and the record as it came."""
    assert unpack_event(pack_event(trace, value)) == (trace, value)


@given(st.dictionaries(st.text(), st.text(), max_size=4))
def test_rejected_tokens_come_back(reasons: dict[str, str]) -> None:
    """Reason by token."""
    stored = pack_rejects(RejectedToken(token, reason) for token, reason in reasons.items())
    assert unpack_rejects(stored) == {token.encode(): reason for token, reason in reasons.items()}


@given(
    st.lists(st.tuples(st.sampled_from([b"\0" * 8, b"\0" * 7 + b"\1", b"abcdefgh"]), st.integers(0, 300)), max_size=40)
)
def test_a_block_gives_a_messages_offsets_in_the_order_they_were_stored(rows: list[tuple[bytes, int]]) -> None:
    """Also where an offset looks like a digest, or the end of one entry and the beginning of the next do."""
    made = dict(blocks(0, 5, [Part(1, b"".join(d for d, _ in rows), [o for _, o in rows], (0, 1), 0)] if rows else []))
    for digest in {each for each, _ in rows}:
        block = made[keys.block(0, 1, digest[0], 5)]
        assert found_in(block, digest) == [offset for each, offset in rows if each == digest]
        assert found_in(block, digest, 1) == [offset for each, offset in rows if each == digest][1:]
        assert list(found_in(block * 2_000, digest)[: len(found_in(block, digest))]) == found_in(block, digest)


# --- sends and walks

steps = st.lists(
    st.one_of(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=6),
        st.sampled_from(["run", "restart"]),
    ),
    max_size=10,
)


@settings(deadline=None, max_examples=50)
@given(steps, st.integers(1, 4))
def test_every_stored_send_is_found_once_in_order(todo: list[list[tuple[str, int]] | str], most: int) -> None:
    """Every send that was stored is found, by the tail or by a run, in the order it was stored, over restarts too."""
    with tempfile.TemporaryDirectory() as name:
        store, shard = open_shard(Path(name))
        expected: dict[str, list[tuple[int, int]]] = {message: [] for message in "abc"}
        offset = 0
        for step in todo:
            if step == "run":
                shard.write_run()
            elif isinstance(step, str):
                store.close()
                store, shard = open_shard(Path(name))
            else:
                rows = [(offset + i, m, T0_MS + h * HOUR_MS, b"v%d" % (offset + i)) for i, (m, h) in enumerate(step)]
                offset += len(rows)
                add_sends(shard, rows)
                for at, message, time_ms, _ in rows:
                    expected[message].append((time_ms // HOUR_MS, at))
        for message in "abc":
            found = walked(shard, message, most)
            assert [(send.bucket, send.offset) for send in found] == sorted(expected[message])
            assert all(send.value == b"v%d" % send.offset for send in found)
        store.close()


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from(["send", "other", "walk", "run"]), max_size=20))
def test_a_walk_and_what_came_behind_it_meet_without_gap_or_double(todo: list[str]) -> None:
    """A send is seen by the walk, or the walk says that it did not see it: never both, never neither."""
    with tempfile.TemporaryDirectory() as name:
        store, shard = open_shard(Path(name))
        add_sends(shard, [(at, "m", T0_MS, b"v") for at in range(5)])
        walk, seen, told = shard.new_walk(), list[int](), list[int]()
        offset, digest = 5, keys.digest_of(b"m")
        for step in [*todo, *["walk"] * 40]:
            if step == "run":
                shard.write_run()
            elif step == "walk":
                seen += [send.offset for send in shard.walk(digest, walk, 2, 1 << 20)] if walk.todo else []
            else:
                batch = add_sends(shard, [(offset, "m" if step == "send" else "x", T0_MS + offset % 2 * HOUR_MS, b"v")])
                if step == "send" and not walk.sees(shard.bucket(T0_MS + offset % 2 * HOUR_MS), batch):
                    told.append(offset)
                offset += 1
        stored = [send.offset for send in walked(shard, "m")]
        assert sorted(seen + told) == sorted(stored)
        store.close()


def test_a_run_written_in_the_middle_of_a_walk_gives_no_send_twice(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sends that came between the run's snapshot and its writing stay in the tail; the walk knows what it has had."""
    add_sends(shard, [(at, "m", T0_MS, b"v") for at in range(3)])
    walk, digest = shard.new_walk(), keys.digest_of(b"m")
    add_sends(shard, [(at, "m", T0_MS, b"v") for at in range(3, 9)])
    snapshot = index.blocks

    def slow(number: int, run: int, parts: list[Part]) -> list[tuple[bytes, bytes]]:
        made = list(snapshot(number, run, parts[:1]))
        first.extend(send.offset for send in shard.walk(digest, walk, 5, 1 << 20))
        del parts[1:]
        return made

    first: list[int] = []
    monkeypatch.setattr(shards, "blocks", slow)
    shard.write_run()
    rest = [send.offset for send in shard.walk(digest, walk, 100, 1 << 20)]
    assert first + rest == list(range(9))


def test_threads_lose_no_bucket(shard: Shard) -> None:
    """Neither a crash nor two threads can lose a pair: every bucket in use is walked."""
    times = [T0_MS + i * HOUR_MS for i in range(1_500)]
    threads = [threading.Thread(target=lambda i=i: [shard.bucket(time) for time in times[i::4]]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shard.new_walk().todo == [time // HOUR_MS for time in times]


@pytest.mark.parametrize("time_ms", [-1, 0, 2**62])
def test_odd_record_times_are_stored_and_found(shard: Shard, time_ms: int) -> None:
    """Producers' clocks are not trusted; one record must not stop a reader."""
    add_sends(shard, [(0, "m", max(0, time_ms), b"v")])
    assert [send.offset for send in walked(shard, "m")] == [0]
    assert shard.head(b"E", time_ms)


def test_walks_keep_to_their_chunks(shard: Shard) -> None:
    """A campaign is streamed from the store, never held whole."""
    add_sends(shard, [(at, "m", T0_MS, bytes(1_000)) for at in range(100)])
    walk, digest = shard.new_walk(), keys.digest_of(b"m")
    assert len(shard.walk(digest, walk, 7, 1 << 20)) == 7
    assert len(shard.walk(digest, walk, 1_000, 10_000)) <= 11


def test_a_campaign_that_fills_a_run_is_searched_for_once(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a campaign is a megabyte: to search it for each chunk would cost more than all else."""
    add_sends(shard, [(at, "m", T0_MS, b"v") for at in range(1_500)])
    shard.write_run()
    add_sends(shard, [(at, "m", T0_MS, b"v") for at in range(1_500, 1_600)])
    searched, found, walk = list[int](), list[int](), shard.new_walk()
    search = index.found_in

    def counted(block: bytes, digest: bytes, skip: int = 0) -> Sequence[int]:
        searched.append(len(block))
        return search(block, digest, skip)

    monkeypatch.setattr(shards, "found_in", counted)
    while walk.todo:
        found += [send.offset for send in shard.walk(keys.digest_of(b"m"), walk, 100, 1 << 20)]
    assert found == list(range(1_600))
    assert len(searched) <= 4


@pytest.mark.parametrize("settled", [0, 1, 700, 1_499, 1_500])
def test_what_is_settled_of_a_campaign_is_put_off_and_seen_once(
    shard: Shard, monkeypatch: pytest.MonkeyPatch, settled: int
) -> None:
    """After a restart a campaign goes on where it was; what is done is counted in turn with the rest."""
    monkeypatch.setattr(shards, "WORTH_PUTTING_OFF", 100)
    add_sends(shard, [(at, "m", T0_MS, b"v") for at in range(1_500)])
    shard.write_run()
    add_sends(shard, [(at, "m", T0_MS, b"v") for at in range(1_500, 1_550)])
    done = result(Outcome.REVOKED, [SendPart(0, at, 0, 1) for at in range(settled)])
    shard.add(Topic.RESULTS, [(0, 1)], entries(shard, done, keys.Stamp(0, T0_MS), False))
    digest, walk, found = keys.digest_of(b"m"), shard.new_walk(puts_off=True), list[list[int]]()
    while not walk.over:
        walked_on = shard.walk_back if walk.counts_next() else shard.walk
        found.append([send.offset for send in walked_on(digest, walk, 60, 1 << 20)])
    assert sorted(offset for some in found for offset in some) == list(range(1_550))
    first = next(some for some in found if any(offset >= settled for offset in some))
    assert found.index(first) <= 2
    if settled == 700:
        assert {some[0] >= settled for some in found[1:3]} == {True, False}, "in turn"


# --- marks, events, what was said


def result(outcome: Outcome, parts: list[SendPart]) -> RevokeResult:
    return bare_result(violation(), outcome, outcome.value, (0, 0), T0_MS)._replace(sends=tuple(parts))


def test_a_results_marks_are_found_by_its_sends(shard: Shard) -> None:
    """Marks on a message's sends between two offsets, over all buckets."""
    for offset, time_ms in [(4, T0_MS), (9, T0_MS + HOUR_MS), (12, T0_MS)]:
        done = result(Outcome.REVOKED, [SendPart(0, offset, 0, 3), SendPart(0, offset + 1, 2, 5)])
        shard.add(Topic.RESULTS, [(offset, offset + 1)], entries(shard, done, keys.Stamp(offset, time_ms), False))
    found = shard.stored.marks(keys.digest_of(b"m"), 5, 10)
    assert {offset: [mark.span for mark in marks] for offset, marks in found.items()} == {
        5: [(2, 7)],
        9: [(0, 3)],
        10: [(2, 7)],
    }
    assert shard.stored.marks(keys.digest_of(b"other"), 0, 100) == {}


def test_a_dry_runs_results_count_for_it_alone(shard: Shard) -> None:
    """DRY_RUN never counts as done in a later real run; and for a dry run nothing else counts."""
    parts = [SendPart(0, 1, 0, 3)]
    for outcome, dry, counts in [
        (Outcome.DRY_RUN, False, False),
        (Outcome.REVOKED, True, False),
        (Outcome.DRY_RUN, True, True),
        (Outcome.REVOKED, False, True),
    ]:
        assert bool(entries(shard, result(outcome, parts), keys.Stamp(1, T0_MS), dry)) is counts


def test_what_was_said_without_places_is_remembered_by_its_id(shard: Shard) -> None:
    """NOT_FOUND is said once per violation."""
    said = result(Outcome.NOT_FOUND, [])
    shard.add(Topic.RESULTS, [(0, 1)], entries(shard, said, keys.Stamp(0, T0_MS), False))
    digest = keys.digest_of(b"m")
    assert shard.stored.said(digest, said.result_id)
    assert not shard.stored.said(digest, "another")


def test_events_of_a_message_come_back_whatever_their_bucket(shard: Shard) -> None:
    """Violations stay active for the whole retention."""
    digest = keys.digest_of(b"m")
    rows = [(3, T0_MS + 5 * HOUR_MS), (1, T0_MS), (2, T0_MS)]
    for offset, time_ms in rows:
        key = keys.stamped(shard.head(b"E", time_ms) + digest, offset, time_ms)
        shard.add(Topic.VIOLATIONS, [(offset, offset + 1)], [(key, pack_event((), b"%d" % offset))])
    assert [(event.offset, event.value) for event in shard.stored.events(digest)] == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert [event.digest for event in shard.stored.all_events()] == [digest] * 3


# --- leaving, and what has been read


def test_events_of_a_message_leave_together_with_the_last_of_them(shard: Shard) -> None:
    """No repeat undoes a person's decision, also when the decision is older than retention and the repeat is not."""
    withdrawn, settled = keys.digest_of(b"withdrawn"), keys.digest_of(b"settled")
    shard.condemned |= {withdrawn, settled}
    for digest, offset, hour in ((withdrawn, 1, 0), (settled, 2, 0), (withdrawn, 3, 1), (withdrawn, 4, 2)):
        time_ms = T0_MS + hour * HOUR_MS
        key = keys.stamped(shard.head(b"E", time_ms) + digest, offset, time_ms)
        shard.add(Topic.VIOLATIONS, [(offset, offset + 1)], [(key, pack_event((), b"%d" % offset))])
    for expired in shard.expired_buckets(T0_MS + 2 * HOUR_MS):
        shard.drop_bucket(expired)
    assert [event.offset for event in shard.stored.events(withdrawn)] == [1, 3, 4]
    assert list(shard.stored.events(settled)) == []
    assert shard.condemned == {withdrawn}
    for expired in shard.expired_buckets(T0_MS + 3 * HOUR_MS):
        shard.drop_bucket(expired)
    assert shard.condemned == set()


def test_an_event_that_is_stored_while_its_bucket_is_dropped_stays_with_those_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... also one that comes at the last moment, or one that finds that another stands behind it by then."""
    store, shard = open_shard(tmp_path)
    old, both, late = (keys.digest_of(name) for name in (b"old", b"both", b"late"))
    for digest, offset, hour in ((old, 1, 0), (both, 2, 0), (late, 3, 1)):
        _add_event(shard, digest, offset, hour)
    scan_between = store.scan_between

    def last_moment(start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from scan_between(start, end)
        if start[:1] == b"D":
            _add_event(shard, late, 4, 0)
            _add_event(shard, both, 5, 1)

    monkeypatch.setattr(store, "scan_between", last_moment)
    shard.drop_bucket(shard.bucket(T0_MS))
    assert [event.offset for event in shard.stored.events(late)] == [3, 4]
    assert [event.offset for event in shard.stored.events(both)] == [2, 5]
    assert list(shard.stored.events(old)) == []
    store.close()


def test_dropping_a_bucket_full_of_events_lets_others_write_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for as long as it takes: what is kept is kept a little at a time."""
    monkeypatch.setattr(dropping, "KEPT_AT_ONCE", 3)
    store, shard = open_shard(tmp_path)
    digests = [keys.digest_of(b"%d" % number) for number in range(10)]
    for number, digest in enumerate(digests):
        _add_event(shard, digest, number, 0)
        _add_event(shard, digest, 100 + number, 1)
    write, sizes = store.write, list[int]()

    def counting(puts: list[tuple[bytes, bytes]]) -> None:
        sizes.append(len(puts))
        write(puts)

    monkeypatch.setattr(store, "write", counting)
    shard.drop_bucket(shard.bucket(T0_MS))
    assert sum(sizes) == 10
    assert max(sizes) <= 3
    assert [len(list(shard.stored.events(digest))) for digest in digests] == [2] * 10
    store.close()


def _add_event(shard: Shard, digest: bytes, offset: int, hour: int) -> None:
    time_ms = T0_MS + hour * HOUR_MS
    key = keys.stamped(shard.head(b"E", time_ms) + digest, offset, time_ms)
    shard.condemned.add(digest)
    shard.add(Topic.VIOLATIONS, [(offset, offset + 1)], [(key, pack_event((), b"%d" % offset))])


def test_a_dropped_bucket_takes_its_sends_and_nothing_else(tmp_path: Path) -> None:
    """Old sends leave by whole buckets; the ranges read stay read; nothing of it comes back with the next run."""
    store, shard = open_shard(tmp_path)
    add_sends(shard, [(0, "m", T0_MS, b"old"), (1, "m", T0_MS + HOUR_MS, b"new")])
    shard.write_run()
    add_sends(shard, [(2, "m", T0_MS, b"old"), (3, "m", T0_MS + HOUR_MS, b"new")])
    (expired,) = shard.expired_buckets(T0_MS + HOUR_MS)
    assert shard.expired_buckets(T0_MS + HOUR_MS - 1) == []
    shard.drop_bucket(expired)
    assert [send.offset for send in walked(shard, "m")] == [1, 3]
    assert shard.ranges(Topic.SENDS).covers(0, 4)
    shard.write_run()
    store.close()
    store, shard = open_shard(tmp_path)
    assert shard.new_walk().todo == [expired + 1]
    assert [send.offset for send in walked(shard, "m")] == [1, 3]
    store.close()


def test_shards_of_one_store_do_not_see_each_other(tmp_path: Path) -> None:
    """A shard is partition p of all three topics, and forgetting one leaves the others whole."""
    store, first = open_shard(tmp_path)
    second = Shard(1, store, HOUR_MS)
    add_sends(first, [(0, "m", T0_MS, b"first")])
    add_sends(second, [(5, "m", T0_MS, b"second")])
    first.set_topic_ids({Topic.SENDS: "id"})
    first.forget()
    assert walked(first, "m") == []
    assert first.topic_id(Topic.SENDS) is None
    assert [send.value for send in walked(second, "m")] == [b"second"]
    assert list(Shard(0, store, HOUR_MS).ranges(Topic.SENDS)) == []
    store.close()


def test_a_shard_goes_on_where_it_was(tmp_path: Path) -> None:
    """The store says where to go on in all three, and of which topic id."""
    store, shard = open_shard(tmp_path)
    shard.add(Topic.RESULTS, [(3, 5), (9, 12)])
    shard.set_topic_ids({Topic.RESULTS: "abc"})
    store.close()
    store, shard = open_shard(tmp_path)
    assert [tuple(span) for span in shard.ranges(Topic.RESULTS)] == [(3, 5), (9, 12)]
    assert shard.topic_id(Topic.RESULTS) == "abc"
    store.close()


def test_it_may_be_acted_on_only_what_both_topics_were_read_back_to(shard: Shard) -> None:
    """All results back to its own time, and all events."""
    shard.read_back_ms = {Topic.VIOLATIONS: 100.0, Topic.RESULTS: 200.0}
    assert [shard.read_back_to(since_ms) for since_ms in (99, 150, 200)] == [False, False, True]
    shard.read_back_ms = dict.fromkeys((Topic.VIOLATIONS, Topic.RESULTS), EVERYTHING)
    assert shard.read_back_to(0)
