"""Which sends of a batch are looked at whole: few, chosen by their last token, so that two sends that end in the same
token are both chosen or neither, however far apart they come.

Promised: of records that lie side by side a choice costs some nanoseconds each; of tokens that end in four bytes as
random as Push Kit's, the part that was asked for. Not promised: anything of the tokens before the last. Where records
are too large to lie side by side, one in many is chosen beside these, whatever it ends in.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stream.block import TAIL_BYTES, high_turns_of, tail_of, turns_of
from stream.wire.looks import Records

MOST: Final = 8
"""Of one batch: tokens that all end alike would else all be chosen."""
ONE_IN: Final = 128
"""Of large records; reading one whole costs half of what storing it does."""
_END: Final = 1
"""A list of tokens ends with one byte of 0."""


def chosen(records: Records, below: int, turn: int) -> list[int]:
    """Those whose last token's ``turn_of`` is below ``below``; and of large ones one in ``ONE_IN``, by ``turn``: how
    many records came before."""
    found = _places(_are_below(records, below).tobytes())
    if not records.joined:
        found += [place for place in range(-turn % ONE_IN, len(records.values), ONE_IN) if place not in found]
    return found


def _places(said: bytes) -> list[int]:
    """Of a yes or no for each, where the first few yes stand: mostly there is none, and this finds it out at once."""
    found: list[int] = []
    at = said.find(1)
    while at >= 0 and len(found) < MOST:
        found.append(at)
        at = said.find(1, at + 1)
    return found


def _are_below(records: Records, below: int) -> np.ndarray:
    """A yes or no for each. An empty list's last bytes are no token's, and mean nothing."""
    found: np.ndarray
    if records.tails is not None:
        found = high_turns_of(records.tails) < np.uint64(below << 32)
        return found
    tails = b"".join([tail_of(value[-TAIL_BYTES - _END : -_END]) for value in records.values])
    found = turns_of(np.frombuffer(tails, "<u4")) < below
    return found
