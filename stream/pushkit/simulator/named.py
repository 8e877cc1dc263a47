"""The tokens that a call names, and the quick look at a large body that spares making a string of each.

Promised: a quick look says of a body exactly what reading it would say, or nothing. It knows compact JSON that ends
with the tokens, all of one length, in ASCII without escapes. Not promised: speed for any other body; those are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import xxhash

_Bytes = npt.NDArray[np.int8]

_WORTH_A_LOOK_BYTES: Final = 12_288
"""Of a body; below, reading is as quick."""
_LONG_BYTES: Final = 4_096
_WORD_BYTES: Final = 8
_LONGEST_BYTES: Final = 1_024
_QUOTE, _FIRST_PRINTABLE = b'" '
_END: Final = b"]}"
# Powers of an odd number: tokens that differ in one word differ in their sums, and hardly any others share one.
_WEIGHTS: Final = np.cumprod(np.full(_LONGEST_BYTES // _WORD_BYTES, 0x9E3779B97F4A7C15, np.uint64))


_MOST_KNOWN: Final = 10_000
_known: Final[dict[bytes, tuple[int, int]]] = {}
"""How many tokens a list has, and how many different ones, by its digest: messages to the same people are revoked by
the same lists, and need not be looked at again."""


class Named:
    """A list of non-empty strings, repeats kept. It may not have been read yet; its length is known all the same."""

    __slots__ = ("json", "digest", "distinct", "_count", "_strings")

    def __init__(
        self, json: bytes | memoryview, count: int, distinct: int, strings: Sequence[str] | None, digest: bytes = b""
    ) -> None:
        self.json = json
        """The list as a JSON array."""
        self.digest = digest
        """What no other list has, by 128 bits of it; of a short one nothing."""
        self.distinct = distinct
        """How many different ones."""
        self._count, self._strings = count, strings

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"Named({self._count} tokens)"

    def strings(self) -> Sequence[str]:
        """As listed; read when first asked for."""
        if self._strings is None:
            self._strings = strings = _loaded(self.json)
            return strings
        return self._strings


def named(strings: Sequence[str]) -> Named:
    """What was read already."""
    json = orjson.dumps(strings)
    digest = xxhash.xxh3_128_digest(json) if len(json) >= _LONG_BYTES else b""
    return Named(json, len(strings), len(set(strings)), strings, digest)


NOBODY: Final = named(())


def read(data: bytes, body_at: int) -> tuple[dict[str, object] | None, Named | None]:
    """The body's JSON object, or None, and its ``token``, or None where that is no list of non-empty strings.

    The body is ``data`` from ``body_at`` on. Of one that was only looked at, ``token`` is an empty list in the object.
    """
    seen = _looked_at(data, body_at) if len(data) - body_at >= _WORTH_A_LOOK_BYTES else None
    if seen is not None:
        return seen
    fields = _object(data[body_at:])
    listed = fields.get("token") if fields else None
    return fields, named(listed) if isinstance(listed, list) and _are_tokens(listed) else None


def _looked_at(data: bytes, body_at: int) -> tuple[dict[str, object], Named] | None:
    """The object and its tokens, none of them made a string; None: the body must be read."""
    begin = data.find(b"[", body_at) + 1
    # The only "[" so far is open: if "]}" makes an object of this, the list stands in it by the name of "token".
    fields = _object(data[body_at:begin] + _END) if begin and data.endswith(_END) else None
    if fields is None or fields.get("token") != []:
        return None
    listed = memoryview(data)[begin - 1 : -1]
    digest = xxhash.xxh3_128_digest(listed)
    if (counts := _known.get(digest)) is None:
        if (counts := _counted(data, begin, listed)) is None:
            return None
        _remember(digest, counts)
    return fields, Named(listed, *counts, None, digest)


def _remember(digest: bytes, counts: tuple[int, int]) -> None:
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[digest] = counts


def _counted(data: bytes, begin: int, listed: memoryview) -> tuple[int, int] | None:
    """How many tokens, and how many different ones; None where their form is not the one that is known."""
    if (rows := _rows(data, begin)) is None:
        return None
    return len(rows), len(rows) if _all_differ(rows) else len(set(_loaded(listed)))


def _rows(data: bytes, begin: int) -> _Bytes | None:
    """A row for each token, its quotes and what stands after it; None where that is not the form. ``data`` ends with
    the list and the object that it is in."""
    chars = data.find(b'"', begin + 1) - begin - 1
    if not 1 <= chars <= _LONGEST_BYTES or data.find(b"\\", begin) >= 0:
        return None
    count, odd = divmod(len(data) - 1 - begin, chars + 3)
    if odd:
        return None
    rows: _Bytes = np.ndarray((count, chars + 3), np.int8, data, begin)
    return rows if _are_strings(rows) else None


def _are_strings(rows: _Bytes) -> bool:
    """Whether each row is a quote, ASCII without quotes and control characters, a quote, and a comma or the end."""
    quotes = b'"' * len(rows)
    return bool(
        rows[:, 0].tobytes() == rows[:, -2].tobytes() == quotes
        and rows[:, -1].tobytes() == b"," * (len(rows) - 1) + b"]"
        and rows.min() >= _FIRST_PRINTABLE  # what is above ASCII is negative here
        and np.count_nonzero(rows == _QUOTE) == 2 * len(rows)
    )


def _all_differ(rows: _Bytes) -> bool:
    """Whether no two tokens have the same sum, and so none are equal; if two have, they may still differ."""
    count, chars = len(rows), rows.shape[1] - 3
    words = -(-chars // _WORD_BYTES)
    padded = np.zeros((count, words * _WORD_BYTES), np.int8)
    padded[:, :chars] = rows[:, 1:-2]
    sums = padded.view(np.uint64) @ _WEIGHTS[:words]
    sums.sort()
    return not np.count_nonzero(sums[1:] == sums[:-1])


def _are_tokens(listed: list[str]) -> bool:
    try:
        "".join(listed)  # the quickest look at the type of each
    except TypeError:
        return False
    return all(listed)


def _loaded(listed: bytes | memoryview) -> list[str]:
    strings: list[str] = orjson.loads(listed)
    return strings


def _object(text: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
