"""Bytes become records, records become bytes: Avro in single-object encoding and in Confluent's wire format."""

from stream.wire.wire import Wire

__all__ = ["Wire"]
