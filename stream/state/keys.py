"""How a key of the store is laid out; everything lives in one column family.

::

    kind(1) shard(2) bucket(4) name(8) │ rest
    └──────────── prefix, 15 bytes ────┘
    S  a pack of sends   stretch of 64   first offset in it(1)          → sends that lie side by side, see ``packs``
    L  a large send      stretch of 64   offset in it(1)                → a pack of one, with a seal of its own
    I  a block of a run  group(1) 0(7)   run(8)                         → digests and offsets, see ``index``
    E  a violation event digest          offset(8) timestamp_ms(8)      → trace headers and the record's value
    M  a mark            digest          send offset(8) first token(4) result offset(8) → what a result covers of a send
    J  rejected tokens   digest          result offset(8)               → tokens and reasons of that result
    D  said              digest          result id                      → outcome; "found": NOT_FOUND is never said
    H  perhaps held      digest          (nothing)                              → nothing; D tells
    A  admitted          timestamp_ms    result offset(8)                       → places called, for whom
    R  ranges            topic           (bucket 0)                     → ranges of offsets read
    X  ranges            topic           (bucket 0)                     → of these, the ranges in the index
    T  topic ids         topic           (bucket 0)                     → id of the topic the ranges speak of

Numbers are big-endian, so that keys sort by time bucket first. The digest is xxh3-64 of the messageId; two messages
with one digest are told apart by the value. The prefix is RocksDB's prefix extractor, which its filters use.
``bucket`` is the record's timestamp divided by the bucket's width: a whole bucket leaves by ``delete_range``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

import xxhash

from stream.model import Topic

PREFIX_BYTES: Final = 15
HEAD_BYTES: Final = 7
DIGEST_BYTES: Final = 8
STRETCH: Final = 64
"""Offsets that may lie in one pack: those with the same number when divided by this."""
LAST_BUCKET: Final = 2**32 - 2
"""Whatever time a record claims, its bucket and the one behind it fit into a key."""
DATA_KINDS: Final = (b"S", b"L", b"I", b"E", b"M", b"J", b"D", b"H", b"A")
"""The kinds whose keys carry a time bucket and leave with it."""

_HEAD: Final = struct.Struct(">cHI")
_TWO: Final = struct.Struct(">QQ")
_MARK: Final = struct.Struct(">QIQ")
_ONE: Final = struct.Struct(">Q")
_BLOCK: Final = struct.Struct(">B7xQ")
_PLACE: Final = struct.Struct(">QB")

digest_of = xxhash.xxh3_64_digest
"""``digest_of(message_id_bytes) -> 8 bytes``; C speed, the same in every process."""


def digest_in(key: bytes) -> bytes:
    """The digest that a key names behind its head."""
    return key[HEAD_BYTES:PREFIX_BYTES]


def some_digests(joined: bytes, chosen: Iterable[int]) -> bytes:
    """Some of many joined digests, joined."""
    return b"".join(joined[DIGEST_BYTES * i : DIGEST_BYTES * (i + 1)] for i in chosen)


class Stamp(NamedTuple):
    """Where and when a record was written."""

    offset: int
    timestamp_ms: int


def bucket(timestamp_ms: int, bucket_ms: int) -> int:
    """The time bucket of a record of that time."""
    return min(max(0, timestamp_ms) // bucket_ms, LAST_BUCKET)


def head(kind: bytes, shard: int, bucket: int) -> bytes:
    """The first seven bytes of a key."""
    return _HEAD.pack(kind, shard, max(0, bucket))


def stamped(prefix: bytes, offset: int, timestamp_ms: int) -> bytes:
    """The key of an event; ``prefix`` is head and digest."""
    return prefix + _TWO.pack(offset, max(0, timestamp_ms))


def stamp_of(key: bytes) -> Stamp:
    """The reverse of ``stamped``."""
    return Stamp(*_TWO.unpack_from(key, PREFIX_BYTES))


def name(head: bytes, offset: int) -> bytes:
    """The key of the pack whose first send has this offset."""
    return head + _PLACE.pack(*divmod(offset, STRETCH))


def block(shard: int, bucket: int, group: int, run: int) -> bytes:
    """The key of one block of a run; ``group`` is the first byte of its digests."""
    return head(b"I", shard, bucket) + _BLOCK.pack(group, run)


def run_of(key: bytes) -> int:
    """The run of a block's key."""
    (run,) = _ONE.unpack_from(key, PREFIX_BYTES)
    return int(run)


def mark(prefix: bytes, send_offset: int, first_token: int, result_offset: int) -> bytes:
    """The key of a mark."""
    return prefix + _MARK.pack(send_offset, first_token, result_offset)


def mark_of(key: bytes) -> tuple[int, int, int]:
    """Send offset, first token and result offset of a mark's key."""
    send_offset, first_token, result_offset = _MARK.unpack_from(key, PREFIX_BYTES)
    return send_offset, first_token, result_offset


def timed(head: bytes, timestamp_ms: int, offset: int) -> bytes:
    """The key of something that is looked for by its time."""
    return head + _TWO.pack(max(0, timestamp_ms), offset)


def time_of(key: bytes) -> int:
    """The time (ms) in such a key."""
    (timestamp_ms,) = _ONE.unpack_from(key, HEAD_BYTES)
    return int(timestamp_ms)


def numbered(prefix: bytes, offset: int) -> bytes:
    """The key of a result's rejected tokens."""
    return prefix + _ONE.pack(offset)


def of_topic(kind: bytes, shard: int, topic: Topic) -> bytes:
    """The key of a shard's ranges or topic id."""
    return head(kind, shard, 0) + bytes([topic]) * 8


def bucket_of(key: bytes) -> int:
    """The time bucket of a data key."""
    return int.from_bytes(key[3:7], "big")
