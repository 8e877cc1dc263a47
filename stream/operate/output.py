"""What a command says on stdout: output that cannot be written stops no work.

Promised: a full disk behind ``>`` raises nothing anywhere, and why is kept for whoever ends the command.
Not promised: that of a reader that went away, which is BrokenPipeError as ever.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Output(io.FileIO):
    """The file behind stdout."""

    trouble: OSError | None = None
    """Why something could not be written; it is gone."""

    @classmethod
    def in_place_of_stdout(cls) -> Output | None:
        """From now on prints go through one of these; None where stdout is no file, or not the one we came with."""
        was = sys.stdout
        if was is not sys.__stdout__ or not isinstance(was, io.TextIOWrapper):
            return None
        output = cls(was.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            output if was.write_through else io.BufferedWriter(output),  # the former for `python -u`
            encoding=was.encoding,
            errors=was.errors,
            line_buffering=was.line_buffering,
            write_through=was.write_through,
        )
        return output

    def write(self, data: ReadableBuffer, /) -> int:
        """As any file, but for the trouble."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as trouble:
            self.trouble = trouble
            return memoryview(data).nbytes
