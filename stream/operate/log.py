"""The log: one event a line on stderr, for a person at a terminal or as JSON for a machine.

Promised: what a library logs or warns of goes the same way, and nothing that looks like a bearer token gets through.
Not promised: that a secret of another look is recognised; secrets are masked where they are made, this is the last net.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from typing import Any, Final, Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from stream.operate.log_lines import Lines

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "console", "json"]

_TOKEN: Final = re.compile(r"(?i:\b(bearer)\s+)[\w.~+/=-]+|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?")
_MASK: Final = "(hidden)"
_PLAIN: Final = frozenset({int, bool, float, type(None)})

log = structlog.get_logger(__name__)


def configure(level: Level, format: Format, lines: Lines | None = None) -> None:
    """Sends structlog and the standard library's logging to stderr, through ``lines`` where they are given. ``auto``:
    console on a terminal, else JSON."""
    out = sys.stderr if lines is None else cast("TextIO", lines)
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_shared(), *_ending(console)],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    _take_over_the_standard_library(least, console, out)


def lines_to_stderr() -> Lines:
    """What a process logs through that a log which cannot be written must neither end nor hold up."""
    stderr = sys.__stderr__
    # Started without one, the descriptor 2 may be a file of the store by now.
    fd = os.open(os.devnull, os.O_WRONLY) if stderr is None else stderr.fileno()
    return Lines(fd, lambda lost: log.error("log_lines_lost", lines=lost))


def masked(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The last line of defence: what looks like a bearer token or a JWT is hidden, however deep it lies."""
    return {name: value if type(value) in _PLAIN else _without_tokens(value) for name, value in event.items()}


def _without_tokens(value: Any) -> Any:
    if isinstance(value, str):
        if "eyJ" not in value and "bearer" not in value.lower():  # a tenth of what the search costs
            return value
        return _TOKEN.sub(lambda match: f"{match[1]} {_MASK}" if match[1] else _MASK, value)
    if isinstance(value, dict):
        return {name: _without_tokens(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_tokens(inner) for inner in value]
    return value if isinstance(value, int | float | None) else _without_tokens(str(value))


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _ending(console: bool) -> list[Processor]:
    """Tracebacks become text before the mask looks at it."""
    return [structlog.processors.format_exc_info, masked, _renderer(console)]


def _renderer(console: bool) -> Processor:
    if console:
        return structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return _json


_slow_json: Final = structlog.processors.JSONRenderer(ensure_ascii=False)


def _json(logger: WrappedLogger, method: str, event: EventDict) -> str | bytes:
    """One line of JSON; a line for each violation's end makes it worth six times the speed."""
    try:
        return orjson.dumps(event).decode()
    except TypeError:  # half a surrogate, a number beyond 64 bits
        return _slow_json(logger, method, event)


def _take_over_the_standard_library(least: int, console: bool, out: TextIO) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending(console)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries narrate at info; only what they find wrong belongs into this log.
    root.setLevel(max(least, logging.WARNING) if least > logging.DEBUG else least)
    warnings.showwarning = _warned


def _warned(message: Warning | str, category: type[Warning], *_place: object, **_line: object) -> None:
    """In the place of Python's own, which writes two raw lines past the log."""
    logging.getLogger("py.warnings").log(logging.WARNING, "%s: %s", category.__name__, message)
