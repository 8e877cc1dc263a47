"""The store: batches are whole at any kill, corruption is never silent, the fence stops every write."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from stream.model import Fenced, StartError, StoreCorrupt, StoreStalled, Topic
from stream.state import folder, keys, store
from stream.state import shard as shards
from stream.state.folder import move_aside, open_folder
from stream.state.shard import Shard
from stream.state.store import BLOB_MIN_BYTES, Store
from stream.state.witness import Witness
from stream.work.ranges import Range
from tests.disk import fill
from tests.state.stored import HOUR_MS, T0_MS, add_sends, open_shard, walked

RETENTION_MS = 72 * HOUR_MS
ROOT = Path(__file__).parents[2]


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    opened, made = open_shard(tmp_path)
    yield made
    opened.close()


def kill_while_writing(path: Path, files: int) -> int:
    """Start a writer, kill -9 it when RocksDB has written so many files by itself; how many sends it had stored."""
    command = [sys.executable, "-m", "tests.state.writing_until_killed", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as it:
        assert it.stdout is not None
        written = int(it.stdout.readline())
        while len(list((path / "db").glob("*.sst"))) < files:
            written = int(it.stdout.readline())
        it.send_signal(signal.SIGKILL)
    return written


@pytest.mark.parametrize("files", [0, 1, 3])
def test_after_kill_9_every_range_has_its_data_and_its_index(tmp_path: Path, files: int) -> None:
    """A batch is whole or absent after kill -9, by automatic flushes alike; the ranges say what is still there."""
    written = kill_while_writing(tmp_path, files)
    opened, shard = open_shard(tmp_path)
    claimed = [offset for span in shard.ranges(Topic.SENDS) for offset in range(*span)]
    found = {send.offset: send.value for m in range(7) for send in walked(shard, f"m-{m}")}
    assert sorted(found) == claimed == list(range(len(claimed)))
    assert all(value.startswith(b"%d:" % offset) for offset, value in found.items())
    assert written > 0
    assert files < 3 or claimed, "two files at least were known to be whole"
    opened.close()


def test_data_and_the_range_that_speaks_of_it_are_one_write(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same batch as the data: nothing can come between the two."""
    writes, write = list[list[bytes]](), Store.write

    def noted(self: Store, puts: Iterable[tuple[bytes, bytes]]) -> None:
        kept = list(puts)
        writes.append([key[:1] for key, _ in kept])
        write(self, kept)

    monkeypatch.setattr(Store, "write", noted)
    add_sends(shard, [(0, "m", T0_MS, b"x"), (1, "m", T0_MS, b"y")])
    shard.write_run()
    assert writes == [[b"S", b"R"], [b"I", b"X"]]


def test_what_was_flushed_survives_kill_9(tmp_path: Path) -> None:
    """A flush is the checkpoint."""
    code = (
        "import os, sys; from pathlib import Path; from tests.state.stored import *\n"
        "store, shard = open_shard(Path(sys.argv[1]))\n"
        "add_sends(shard, [(0, 'm', T0_MS, b'kept')]); store.flush()\n"
        "add_sends(shard, [(1, 'm', T0_MS, b'lost')]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    opened, shard = open_shard(tmp_path)
    assert [send.value for send in walked(shard, "m")] == [b"kept"]
    assert list(shard.ranges(Topic.SENDS)) == [Range(0, 1)]
    opened.close()


def test_a_fenced_shard_is_written_by_no_thread(shard: Shard) -> None:
    """After ``fence()`` nothing is written for the shard any more, from any thread."""
    stopped, offsets = [], iter(range(1_000_000))

    def write() -> None:
        try:
            while True:
                at = next(offsets)
                shard.add(Topic.VIOLATIONS, [(at, at + 1)])
        except Fenced:
            stopped.append(True)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    while shard.ranges(Topic.VIOLATIONS).top < 50:
        pass
    shard.fence()
    at_the_fence = list(shard.ranges(Topic.VIOLATIONS))
    for thread in threads:
        thread.join(5.0)
    assert len(stopped) == 3
    assert list(shard.ranges(Topic.VIOLATIONS)) == at_the_fence
    for write_something in (shard.write_run, lambda: shard.drop_bucket(1)):
        with pytest.raises(Fenced):
            write_something()


def test_a_stalled_batch_leaves_no_trace(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    """StoreStalled: nothing was written, do it again."""

    def full(*_: object) -> None:
        raise StoreStalled("the disk is full")

    with monkeypatch.context() as stalled:
        stalled.setattr(Store, "write", full)
        with pytest.raises(StoreStalled):
            add_sends(shard, [(0, "m", T0_MS, b"x")])
    assert list(shard.ranges(Topic.SENDS)) == []
    assert walked(shard, "m") == []
    add_sends(shard, [(0, "m", T0_MS, b"x")])
    assert [send.offset for send in walked(shard, "m")] == [0]


def test_a_write_stall_is_said_and_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No write waits inside RocksDB: where it would, it raises ``StoreStalled``."""
    monkeypatch.setattr(store, "MEMTABLE_BYTES", 64 << 10)
    monkeypatch.setattr(store, "MEMTABLES", 2)
    opened = Store(tmp_path / "db")
    value, stalls = bytes(3_000), 0
    for i in range(20_000):
        try:
            opened.write([(b"S" * 15 + i.to_bytes(8, "big"), value)])
        except StoreStalled:
            stalls += 1
            if stalls > 3:
                break
    assert stalls, "a writer faster than the disk was never stopped"
    opened.close()


@pytest.mark.parametrize(("suffix", "value"), [("sst", bytes(400)), ("blob", bytes(BLOB_MIN_BYTES))])
def test_a_walk_over_flipped_bytes_raises(tmp_path: Path, suffix: str, value: bytes) -> None:
    """Any word of corruption is StoreCorrupt, never silence: a send that is not found would be a lost send."""
    opened, shard = open_shard(tmp_path)
    add_sends(shard, [(at, "m", T0_MS, value) for at in range(400)])
    shard.write_run()
    opened.close()
    flip(tmp_path, suffix)
    opened, shard = open_shard(tmp_path)
    with pytest.raises(StoreCorrupt):
        walked(shard, "m")
    opened.close()


@pytest.mark.parametrize(("kind", "value"), [(b"S", b"small"), (b"L", bytes(BLOB_MIN_BYTES))])
def test_a_send_that_is_not_where_the_index_says_is_corruption(tmp_path: Path, kind: bytes, value: bytes) -> None:
    """A send that is not found would be a lost send; only a bucket that has left takes its sends along."""
    opened, shard = open_shard(tmp_path)
    add_sends(shard, [(5, "m", T0_MS, value)])
    shard.write_run()
    opened._db.delete(keys.name(shard.head(kind, T0_MS), 5))
    with pytest.raises(StoreCorrupt, match="offset 5 of shard 0 is not where"):
        walked(shard, "m")
    walk = shard.new_walk()
    shard.drop_bucket(shard.bucket(T0_MS))
    assert shard.walk(keys.digest_of(b"m"), walk, 10, 1_000) == []
    opened.close()


def test_what_is_in_no_run_is_bounded_by_its_weight_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again, whole, at the next start: a thousand large sends weigh as much as a million small ones."""
    monkeypatch.setattr(shards, "RUN_BYTES", 3 * BLOB_MIN_BYTES)
    opened, shard = open_shard(tmp_path)
    due: list[bool] = []
    for at in range(3):
        due.append(shard.run_is_due)
        add_sends(shard, [(at, f"m{at}", T0_MS, bytes(BLOB_MIN_BYTES))])
    due.append(shard.run_is_due)
    shard.write_run()
    due.append(shard.run_is_due)
    assert due == [False, False, False, True, False]
    add_sends(shard, [(3, "m3", T0_MS, bytes(BLOB_MIN_BYTES))])
    opened.close()
    opened, shard = open_shard(tmp_path)
    assert [[send.offset for send in walked(shard, f"m{at}")] for at in range(4)] == [[0], [1], [2], [3]]
    opened.close()


def test_a_store_whose_current_names_no_manifest_is_moved_aside_and_begun_anew(tmp_path: Path) -> None:
    """A store that cannot be trusted is never the end: a single bit of CURRENT names a file that is not there."""
    opened, _ = open_folder(tmp_path / "state", HOUR_MS, 4)
    opened.close()
    current = tmp_path / "state" / "db" / "CURRENT"
    current.write_bytes(current.read_bytes().replace(b"MANIFEST-0", b"MANIFEST-4"))
    opened, _ = open_folder(tmp_path / "state", HOUR_MS, 4)
    opened.close()
    assert len(list(tmp_path.glob("state.corrupt-*"))) == 1


def test_a_store_that_is_made_is_its_users_alone(tmp_path: Path) -> None:
    """It holds push tokens as they came. One that is there keeps the mode that somebody gave it."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given").chmod(0o750)
    for name, mode in (("made", 0o700), ("given", 0o750)):
        opened, _ = open_folder(tmp_path / name, HOUR_MS, 4)
        opened.close()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_a_store_moved_aside_twice_within_a_second_is_kept_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is moved aside, never deleted."""
    monkeypatch.setattr(time, "strftime", lambda _: "20260101T000000")
    asides = set()
    for what in ("first", "second", "third"):
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / what).touch()
        asides.add(move_aside(tmp_path / "state"))
    assert len(asides) == 3
    assert {file.name for aside in asides for file in aside.iterdir()} == {"first", "second", "third"}


@pytest.mark.parametrize("flipped", [True, False])
def test_a_read_that_killed_the_process_is_verified_by_the_next(tmp_path: Path, flipped: bool) -> None:
    """Unverified bytes can end a process: once, not at every start. A process that was only killed costs nothing."""
    opened, shard = open_shard(tmp_path)
    add_sends(shard, [(5, "m", T0_MS, bytes(BLOB_MIN_BYTES))])
    opened.close()
    key = keys.name(shard.head(b"L", T0_MS), 5)
    dying = Witness(opened.path.with_name(f"{opened.path.name}.reading"))
    dying.begins(key)
    dying.close()
    if flipped:
        flip(tmp_path, "blob")
        with pytest.raises(StoreCorrupt):
            open_shard(tmp_path)
        return
    opened, shard = open_shard(tmp_path)
    assert [send.offset for send in walked(shard, "m")] == [5]
    assert opened._witness.key is None
    opened.close()


def test_a_key_under_way_outlives_the_process(tmp_path: Path) -> None:
    """And one that has been read does not."""
    writes = (
        "import os, sys, pathlib; from stream.state.witness import Witness; w = Witness(pathlib.Path(sys.argv[1]));"
    )
    for then, left in (("os.kill(os.getpid(), 9)", b"a-key"), ("w.ends(); os.kill(os.getpid(), 9)", None)):
        subprocess.run([sys.executable, "-c", f"{writes} w.begins(b'a-key'); {then}", str(tmp_path / "w")], cwd=ROOT)
        assert Witness(tmp_path / "w").key == left
    Witness(tmp_path / "w").begins(b"k" * 64)
    assert Witness(tmp_path / "w").key is None


def test_a_scan_over_flipped_bytes_raises(tmp_path: Path) -> None:
    """Every scan ends with a look at the iterator's status."""
    opened, shard = open_shard(tmp_path)
    prefix = shard.head(b"E", T0_MS) + b"d" * 8
    shard.add(Topic.VIOLATIONS, [], [(keys.stamped(prefix, at, 5), bytes(500)) for at in range(400)])
    opened.close()
    flip(tmp_path, "sst")
    opened, shard = open_shard(tmp_path)
    for scan in (shard.stored.all_events, lambda: shard.stored.events(b"d" * 8)):
        with pytest.raises(StoreCorrupt):
            list(scan())
    opened.close()


def flip(path: Path, suffix: str) -> None:
    """Turn bytes over in the middle of each file, where the data lies."""
    for file in sorted((path / "db").glob(f"*.{suffix}")):
        data = bytearray(file.read_bytes())
        for at in range(len(data) * 4 // 10, len(data) * 7 // 10, 997):
            data[at] ^= 0xFF
        file.write_bytes(data)


def test_a_folder_in_use_by_another_process_is_a_start_error(tmp_path: Path) -> None:
    """A directory of this process alone."""
    opened, _ = open_folder(tmp_path / "state", RETENTION_MS, 4)
    with pytest.raises(StartError, match="in use by another process"):
        open_folder(tmp_path / "state", RETENTION_MS, 4)
    opened.close()


def test_a_changed_partition_count_stops_the_start(tmp_path: Path) -> None:
    """A partition count that has changed since the store was written stops ``run`` with exit 1 and says what to do."""
    opened, _ = open_folder(tmp_path / "state", RETENTION_MS, 4)
    opened.close()
    with pytest.raises(StartError, match=r"had 4 partitions, now they have 6.*remove the folder"):
        open_folder(tmp_path / "state", RETENTION_MS, 6)
    open_folder(tmp_path / "state", RETENTION_MS, 4)[0].close()


def test_the_width_of_buckets_stays_as_it_was_written(tmp_path: Path) -> None:
    """Keys carry it: a new retention must not move them."""
    opened, before_ms = open_folder(tmp_path / "state", RETENTION_MS, 4)
    opened.close()
    opened, after_ms = open_folder(tmp_path / "state", 2 * RETENTION_MS, 4)
    opened.close()
    assert before_ms == after_ms == RETENTION_MS // folder.BUCKETS


@pytest.mark.parametrize("damage", ["stamp", "format", "manifest"])
def test_a_store_that_cannot_be_trusted_is_moved_aside_and_begun_anew(tmp_path: Path, damage: str) -> None:
    """It is moved aside and rebuilt from Kafka."""
    path = tmp_path / "state"
    opened, bucket_ms = open_folder(path, RETENTION_MS, 4)
    add_sends(Shard(0, opened, bucket_ms), [(0, "m", T0_MS, b"x")])
    opened.close()
    if damage == "stamp":
        (path / "stamp.json").write_text("[]")
    elif damage == "format":
        (path / "stamp.json").write_text(
            (path / "stamp.json").read_text().replace(f'"version": {folder.VERSION}', '"version": 1')
        )
    else:
        for file in (path / "db").glob("MANIFEST-*"):
            file.write_bytes(b"garbage" * 10)
    opened, bucket_ms = open_folder(path, RETENTION_MS, 4)
    assert list(Shard(0, opened, bucket_ms).ranges(Topic.SENDS)) == []
    assert [each.name.split(".corrupt-")[0] for each in tmp_path.iterdir() if each != path] == ["state"]
    opened.close()


def test_a_full_disk_is_said_by_every_write_and_ends_nothing(small_disk: Path) -> None:
    """A checkpoint fails, and so does what is written after it; what was there before is read again when there is
    room."""
    opened = Store(small_disk / "db")
    opened.write([(keys.name(keys.head(b"S", 0, 1), 7), bytes(1_000))])
    opened.flush()
    opened.write([(keys.name(keys.head(b"S", 0, 1), 8), bytes(200_000))])
    ballast = fill(small_disk)
    with pytest.raises(StoreStalled, match="No space left on device"):
        opened.flush()
    with pytest.raises(StoreStalled, match="No space left on device"):
        opened.write([(b"R" * keys.PREFIX_BYTES, b"")])
    opened.close()
    ballast.unlink()
    again = Store(small_disk / "db")
    assert again.get(keys.name(keys.head(b"S", 0, 1), 7)) == bytes(1_000)
    again.close()


def test_reading_on_a_full_disk_does_not_kill_the_process(small_disk: Path) -> None:
    """The key under way has its place in the file before it is needed: a mapped hole would end in a bus error."""
    script = (
        "import sys, pathlib; from stream.state.witness import Witness; from tests.disk import fill;"
        "disk = pathlib.Path(sys.argv[1]); w = Witness(disk / 'w'); fill(disk); w.begins(b'key'); print(w.key)"
    )
    told = subprocess.run([sys.executable, "-c", script, str(small_disk)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.strip()) == (0, "b'key'"), told.stderr


def after_power_failure(whole: Path, folder: Path, file: str, kept_bytes: int) -> int | None:
    """Open a store of which a file ends early, as it may when power fails; how many sends are there, None: it was
    moved aside. What its ranges speak of must be there."""
    shutil.copytree(whole, folder / "state")
    cut = folder / "state" / "db" / file
    os.truncate(cut, kept_bytes)
    opened, bucket_ms = open_folder(folder / "state", RETENTION_MS, 4)
    shard = Shard(0, opened, bucket_ms)
    claimed = [offset for span in shard.ranges(Topic.SENDS) for offset in range(*span)]
    try:
        found = sorted(send.offset for number in range(7) for send in walked(shard, f"m-{number}"))
    except StoreCorrupt:
        found = claimed  # said, not taken for an end: the service moves it aside
    opened.close()
    assert found == claimed
    aside = list(folder.glob("state.corrupt-*"))
    shutil.rmtree(folder)
    return None if aside else len(claimed)


def test_a_power_failure_leaves_data_and_ranges_together_or_neither(tmp_path: Path) -> None:
    """Whatever the disk has kept of what was written last: the manifest up to any byte, half of a data file."""
    opened, bucket_ms = open_folder(tmp_path / "whole", RETENTION_MS, 4)
    shard = Shard(0, opened, bucket_ms)
    for batch in range(4):
        first = 10 * batch
        value = bytes(BLOB_MIN_BYTES if batch % 2 else 40)
        add_sends(shard, [(at, f"m-{at % 7}", T0_MS + at, b"%d:" % at + value) for at in range(first, first + 10)])
        shard.write_run()
        opened.flush()
    written = tmp_path / "written"
    shutil.copytree(tmp_path / "whole", written)  # as it lies there while the service runs: nothing is closed
    opened.close()
    [manifest] = (written / "db").glob("MANIFEST-*")
    size = len(manifest.read_bytes().rstrip(b"\0"))
    kept = {after_power_failure(written, tmp_path / "m", manifest.name, at) for at in range(0, size, 37)}
    assert {None, 10, 20, 30} <= kept
    for file in sorted((written / "db").glob("*.sst")):
        assert after_power_failure(written, tmp_path / "d", file.name, file.stat().st_size // 2) in (None, 40)
