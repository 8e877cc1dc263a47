"""Records whose header names are not UTF-8: what producers in other languages can write and confluent-kafka cannot.

Through the librdkafka that comes with confluent-kafka, by its C interface:
https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka.h (rd_kafka_producev)
"""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_int32, c_size_t, c_ssize_t, c_void_p

from confluent_kafka import cimpl

_END, _TOPIC, _PARTITION, _VALUE, _KEY, _MSGFLAGS, _HEADER = 0, 1, 3, 4, 5, 7, 9
_COPY, _PRODUCER, _FLUSH_MS = 2, 0, 20_000


def produce_named(servers: str, topic: str, partition: int, key: bytes, value: bytes, header: bytes) -> None:
    """Write one record with one header of this name."""
    library = ctypes.CDLL(cimpl.__file__)
    library.rd_kafka_conf_new.restype = library.rd_kafka_new.restype = c_void_p
    said, conf = ctypes.create_string_buffer(512), c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", servers.encode(), said, c_size_t(512))
    producer = c_void_p(library.rd_kafka_new(c_int(_PRODUCER), conf, said, c_size_t(512)))
    assert producer.value, said.value
    failed = library.rd_kafka_producev(
        producer,
        *(c_int(_TOPIC), c_char_p(topic.encode())),
        *(c_int(_PARTITION), c_int32(partition)),
        *(c_int(_MSGFLAGS), c_int(_COPY)),
        *(c_int(_VALUE), c_char_p(value), c_size_t(len(value))),
        *(c_int(_KEY), c_char_p(key), c_size_t(len(key))),
        *(c_int(_HEADER), c_char_p(header), c_char_p(b"x"), c_ssize_t(1)),
        c_int(_END),
    )
    assert not failed
    assert not library.rd_kafka_flush(producer, c_int(_FLUSH_MS))
    library.rd_kafka_destroy(producer)
