"""Avro's binary primitives by hand: whole numbers, texts, block counts, in both directions.

Promised: reading is linear in the bytes given and allocates nothing that a record merely claims to hold; numbers may
be written longer than needed, as Avro allows. Not promised: a tidy exception. Bytes that end too soon raise
``IndexError``, texts that are not UTF-8 ``UnicodeDecodeError``, all else ``ValueError``; callers turn them into one.

A text that claims to reach beyond the end gives a position beyond the end: the next read there raises ``IndexError``,
so a reader whose last field is a text must compare its last position with the length itself.
Source: Avro specification 1.12, "Binary Encoding".
"""

from __future__ import annotations

from typing import Final

INT_MAX: Final = 2**31 - 1


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The zigzag number at ``at`` and the position behind it. Raises IndexError, ValueError beyond 64 bits."""
    byte = data[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    number, shift = byte & 0x7F, 7
    while shift < 70:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return _signed(number), at + 1
        shift += 7
    raise ValueError("a number is longer than ten bytes")


def _signed(number: int) -> int:
    if number >> 64:
        raise ValueError("a number is beyond 64 bits")
    return (number >> 1) ^ -(number & 1)


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """The length of a text and where it begins. Raises IndexError, ValueError for a negative one."""
    byte = data[at]
    if not byte & 0x81:
        return byte >> 1, at + 1
    length, at = read_long(data, at)
    if length < 0:
        raise ValueError("a text has a negative length")
    return length, at


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """The text at ``at`` and the position behind it, which may lie beyond the end (see above)."""
    byte = data[at]
    if byte & 0x81:
        length, at = read_length(data, at)
        end = at + length
    else:
        at += 1
        end = at + (byte >> 1)
    return data[at:end].decode(), end


def read_present(data: bytes, at: int) -> tuple[bool, int]:
    """Whether a union of null and something holds something. Raises ValueError for a branch that does not exist."""
    byte = data[at]
    if byte == 0 or byte == 2:
        return byte == 2, at + 1
    branch, at = read_long(data, at)
    if branch not in (0, 1):
        raise ValueError("a union names a branch that does not exist")
    return branch == 1, at


def read_optional_text(data: bytes, at: int) -> tuple[str | None, int]:
    """A union of null and text."""
    if data[at] == 2:
        return read_text(data, at + 1)
    present, at = read_present(data, at)
    return read_text(data, at) if present else (None, at)


def read_optional_long(data: bytes, at: int) -> tuple[int | None, int]:
    """A union of null and a number."""
    if data[at] == 2:
        return read_long(data, at + 1)
    present, at = read_present(data, at)
    return read_long(data, at) if present else (None, at)


def read_count(data: bytes, at: int) -> tuple[int, int]:
    """How many items the next block has, 0 at the end; the byte size that Avro allows before the items is not believed.

    Nor is the count: every item of ours takes a byte at least, so reading them one by one ends where the bytes do.
    """
    count, at = read_long(data, at)
    if count < 0:
        count = -count
        _, at = read_long(data, at)
    return count, at


def skip_texts(data: bytes, at: int) -> int:
    """The position behind a map of texts, its contents unread."""
    if data[at] == 0:
        return at + 1
    count, at = read_count(data, at)
    while count:
        for _ in range(2 * count):
            length, at = read_length(data, at)
            at += length
        count, at = read_count(data, at)
    return at


# Numbers are written 14 bits at a time: a table look-up is several times faster than a loop over 7-bit groups.
_ENDS: Final = tuple(bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(1 << 14))
_GOES_ON: Final = tuple(bytes((n & 0x7F | 0x80, n >> 7 | 0x80)) for n in range(1 << 14))


def long(number: int) -> bytes:
    """A number as Avro's int or long. Raises ValueError beyond 64 bits."""
    zigzag = number << 1 if number >= 0 else ~(number << 1)
    if zigzag < 1 << 14:
        return _ENDS[zigzag]
    if zigzag < 1 << 28:
        return _GOES_ON[zigzag & 0x3FFF] + _ENDS[zigzag >> 14]
    if zigzag >> 64:
        raise ValueError(f"{number} is beyond 64 bits")
    return _GOES_ON[zigzag & 0x3FFF] + _GOES_ON[zigzag >> 14 & 0x3FFF] + _unsigned(zigzag >> 28)


def _unsigned(number: int) -> bytes:
    return _ENDS[number] if number < 1 << 14 else _GOES_ON[number & 0x3FFF] + _unsigned(number >> 14)


def blob(content: bytes) -> bytes:
    """Bytes with their length before them: Avro's string, the text encoded already."""
    return long(len(content)) + content


def text(content: str) -> bytes:
    """A text as Avro's string; what UTF-8 cannot hold (a lone surrogate out of somebody's JSON) becomes ``?``."""
    return blob(content.encode("utf-8", "replace"))


def optional_text(content: str | None) -> bytes:
    """A union of null and text."""
    return b"\0" if content is None else b"\2" + text(content)


def optional_long(number: int | None) -> bytes:
    """A union of null and a number."""
    return b"\0" if number is None else b"\2" + long(number)


def require_32_bits(name: str, number: int | None) -> None:
    """Raises ValueError for what a reader with 32-bit numbers could not read."""
    if number is not None and not -INT_MAX - 1 <= number <= INT_MAX:
        raise ValueError(f"{name} {number} is beyond 32 bits")
