"""Records written with another schema than the present one: older, newer, or a stranger's.

Promised: Avro's schema resolution by fastavro, behind the guards of ``schemas.require_harmless``. Not promised: speed;
the present schemas are read by hand elsewhere.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple, cast

from fastavro import schemaless_reader

from stream.wire.schemas import Schema, require_harmless


class Resolution(NamedTuple):
    """A writer's schema beside ours. ``read`` raises whatever fastavro raises where the two do not fit."""

    writer: Schema
    reader: Schema

    def read(self, data: bytes, at: int) -> tuple[dict[str, Any], int]:
        """The record's fields and the position behind them."""
        stream = BytesIO(data)
        stream.seek(at)
        fields = schemaless_reader(stream, cast("Any", self.writer), cast("Any", self.reader))
        return cast("dict[str, Any]", fields), stream.tell()

    def read_whole(self, data: bytes, at: int) -> dict[str, Any]:
        """The record's fields. Raises ValueError for bytes behind them: fastavro would not mind."""
        fields, at = self.read(data, at)
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes follow the last field")
        return fields


def resolution(writer: Schema, reader: Schema) -> Resolution:
    """Raises ValueError for a writer's schema that must not be read with."""
    require_harmless(writer)
    return Resolution(writer, reader)
