"""The limits of reading: a loop that only consumes, and one that stores what it consumes and does nothing else.

``python -m stream.bench.bare_reading consume|store BOOTSTRAP TOPIC PARTITIONS COUNT FOLDER`` prints records per second,
from the first batch's end on. The settings are the best that we found for such a loop, those of the store included.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition
from rocksdict import DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

_BATCH: Final = 500
_PROPERTIES: Final[dict[str, str | int | bool]] = {
    "group.id": "unpush-bench-bare",
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 50,
    "fetch.message.max.bytes": 1 << 20,
    "queued.max.messages.kbytes": 16_384,
}
_MEMTABLE_BYTES: Final = 64 << 20
_BLOB_BYTES: Final = 4_096
_STALL_S: Final = 0.002
_GIVE_UP_S: Final = 30.0

Step = Callable[[list[Message]], None]


def rate(consumer: Consumer, count: int, step: Step) -> float:
    """Records per second from the second batch on: the first tells only how long the broker took to answer."""
    started_s, seen, first, quiet_since_s = 0.0, 0, 0, time.perf_counter()
    while seen < count:
        messages = consumer.consume(_BATCH, 1.0)
        if messages:
            step(messages)
            seen, quiet_since_s = seen + len(messages), time.perf_counter()
            if not first:
                first, started_s = seen, quiet_since_s
        elif time.perf_counter() - quiet_since_s > _GIVE_UP_S:
            raise SystemExit(f"only {seen} of {count} records came")
    if seen == first:
        raise SystemExit(f"{count} records are too few: they came in one batch")
    return (seen - first) / (time.perf_counter() - started_s)


def storing(folder: Path) -> Step:
    """Each batch as it is into one write: key = partition and offset, value = the record's bytes."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_MEMTABLE_BYTES)
    options.set_max_write_buffer_number(4)
    options.set_compression_type(DBCompressionType.none())
    options.set_enable_blob_files(True)
    options.set_min_blob_size(_BLOB_BYTES)
    writing = WriteOptions()
    writing.disable_wal = True  # type: ignore[method-assign,assignment]  # a property; the stub says method
    writing.no_slowdown = True
    store, key = Rdict(str(folder), options), struct.Struct(">BQ").pack

    def step(messages: list[Message]) -> None:
        while True:
            batch = WriteBatch(raw_mode=True)
            for message in messages:
                batch.put(key(message.partition(), message.offset()), message.value())
            try:
                store.write(batch, writing)
                return
            except Exception:  # noqa: BLE001  # rocksdict has no other: a write stall, as no_slowdown asks for
                time.sleep(_STALL_S)

    return step


def main(arguments: list[str]) -> None:
    """The process."""
    mode, bootstrap_servers, topic, partitions, count, folder = arguments
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, **_PROPERTIES})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(int(partitions))])
    step: Step = storing(Path(folder)) if mode == "store" else lambda messages: None
    print(rate(consumer, int(count), step))
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1:])
