"""The first moments of the command ``unpush``, before anything that takes time is imported; then the command line.

Promised: descriptors 0, 1 and 2 are open, and whoever interrupts while modules are still imported is not shown where.
Not promised: that of the interpreter's own start, some hundredths of a second.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer than all that is here
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line. Raises SystemExit from argparse: 2 for wrong usage, 0 for help."""
    words = sys.argv[1:] if argv is None else argv
    _open_what_is_closed()
    taken_over = _end_at_once(service=[*words[:1]] == ["run"])
    try:
        from stream import command_line

        return command_line.main(words, taken_over)
    finally:
        taken_over()


def _open_what_is_closed() -> None:
    """What ``>&-`` closed would be the number of the first socket, at which libuv aborts; it is /dev/null instead."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if not _is_open(number):
            opened = os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
            os.set_inheritable(opened, True)
            setattr(sys, name, os.fdopen(opened, "w" if number else "r", errors="replace", closefd=False))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _end_at_once(*, service: bool) -> Callable[[], object]:
    """What a signal does until a command takes it over, and the function for that: there is nothing to drain yet. Not
    by an exception: what is raised inside a callback of the interpreter's own, as while it imports, is ignored, and
    some extensions crash of it."""
    if service:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: os._exit(0))
        return lambda: None  # its loop takes over
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # it is to be ignored, as in a background
        return lambda: None
    signal.signal(signal.SIGINT, _interrupted)
    return lambda: signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(*_: object) -> None:
    try:
        os.write(2, b"Interrupted.\n")
    finally:  # also where nobody hears it
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
