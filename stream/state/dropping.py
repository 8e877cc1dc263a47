"""A bucket that leaves retention: what of it stays, because it speaks of what stays.

A message's events leave together, with the last of them: without a withdrawal that stood here, a repeat behind it would
look like a finding of its own. What was said of them goes with them, or it would be said again.

Promised: all that is to stay is in a later bucket before the shard drops this one, so a crash loses none; the shard's
lock is held for moments only, however much there is to be kept. Not promised: that nothing stands in both meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain, islice
from typing import Final

from stream.state import keys
from stream.state.store import Put, Store

KEPT_AT_ONCE: Final = 1_000
"""So many events are copied out of the bucket before the others may write again."""

_SPOKEN: Final = (b"E", b"D", b"H")


class Dropping:
    """See the module's words. ``buckets``: those of the shard; ``writing``: its lock, which raises Fenced."""

    def __init__(
        self,
        number: int,
        bucket: int,
        store: Store,
        buckets: Callable[[], list[int]],
        writing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._number, self._bucket = number, bucket
        self._store = store
        self._buckets = buckets
        self._writing = writing
        self._touched: set[bytes] = set()
        """Digests of events, and of what is said of them, that have been stored since it began."""

    def note(self, written: Iterable[bytes]) -> None:
        """Keys that are just being written, under the lock."""
        self._touched.update(keys.digest_in(key) for key in written if key[:1] in _SPOKEN)

    def keep(self) -> set[bytes]:
        """Copy all that is to stay; gives the digests of all that is there. Raises as ``Shard.add`` does."""
        digests = self._keep(self._pairs())
        while len(self._touched) > KEPT_AT_ONCE:
            digests |= self._keep(self._pairs_of(self._take_touched()))
        return digests

    def keep_rest(self) -> set[bytes]:
        """The same of what has come since then, under the lock."""
        self._store.write(self._kept(self._pairs_of(self._touched)))
        return self._touched

    def _keep(self, pairs: Iterator[Put]) -> set[bytes]:
        digests: set[bytes] = set()
        while some := list(islice(pairs, KEPT_AT_ONCE)):
            digests.update(keys.digest_in(key) for key, _ in some)
            kept = self._kept(some)  # the long part of it, and so without the lock
            with self._writing():
                self._store.write(kept)
        return digests

    def _take_touched(self) -> set[bytes]:
        with self._writing():
            touched, self._touched = self._touched, set()
        return touched

    def _kept(self, pairs: Iterable[Put]) -> list[Put]:
        return [(kept, value) for key, value in pairs if (kept := self._in_later_bucket(key))]

    def _in_later_bucket(self, key: bytes) -> bytes | None:
        """The key in the latest bucket that has an event of the message; None: there is none behind this."""
        later = [each for each in reversed(self._buckets()) if each > self._bucket]
        events = self._store.scan(keys.head(b"E", self._number, each) + keys.digest_in(key) for each in later)
        if (found := next(events, None)) is None:
            return None
        return keys.head(key[:1], self._number, keys.bucket_of(found[0])) + key[keys.HEAD_BYTES :]

    def _pairs(self) -> Iterator[Put]:
        """The events in the bucket, and what was said there."""
        return chain.from_iterable(self._store.scan_between(*self._span(kind)) for kind in _SPOKEN)

    def _pairs_of(self, digests: set[bytes]) -> Iterator[Put]:
        """Those of some messages."""
        heads = [keys.head(kind, self._number, self._bucket) for kind in _SPOKEN]
        return self._store.scan(head + digest for digest in digests for head in heads)

    def _span(self, kind: bytes) -> tuple[bytes, bytes]:
        return keys.head(kind, self._number, self._bucket), keys.head(kind, self._number, self._bucket + 1)
