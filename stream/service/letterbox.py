"""Bad records on their way to the dead-letter topic, by a producer of their own; it is made anew when the topic was.

A topic that was deleted and created again begins to count its leaders from zero; librdkafka takes a lower count for old
news, and goes on asking a broker that leads nothing any more: https://github.com/confluentinc/librdkafka/issues/4898.
Of all topics only this one may be made anew while we run. And what waits for it takes no room from results.

Promised: ``send`` may be called from any thread and raises nothing; each letter's end is told once, a failure too, so
that it can be sent again. Not promised: that a letter that failed is not in the topic; nor order.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

POLL_S: Final = 0.002

log = structlog.get_logger(__name__)


class Letter(NamedTuple):
    """A bad record as it goes to the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]

    @property
    def bytes(self) -> int:
        """Key, value and headers."""
        headers = sum(len(name.encode()) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


Done = Callable[[KafkaError | None], None]
"""Is told how a letter's way ended; None: it is in the topic."""


class LetterBox:
    """See the module's words."""

    def __init__(self, topic: str, topic_id: str | None, new_producer: Callable[[], Producer]) -> None:
        """Made inside the running loop. ``topic_id``: the topic's at the start; None: the broker does not tell."""
        self._topic, self._topic_id, self._new_producer = topic, topic_id, new_producer
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._lock = threading.Lock()
        self._producer = new_producer()  # now: the first letter is not to wait until it knows its brokers
        self._former: list[Producer] = []
        """They bring back what they were given and could not deliver."""
        self._in_vain = False

    @property
    def size(self) -> int:
        """Letters under way."""
        return sum(map(len, self._producers()))

    def _producers(self) -> list[Producer]:
        return [self._producer, *self._former]

    def send(self, letter: Letter, done: Done) -> None:
        """From any thread: start writing a bad record, whole. ``done`` is called on the loop, or at once where the
        letter cannot even leave."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None and error.code() == KafkaError._MSG_TIMED_OUT and producer is self._producer:
                self._in_vain = True
            done(error)

        try:
            with self._lock:
                producer = self._producer
                producer.produce(
                    self._topic, letter.value, letter.key, headers=[*letter.headers], on_delivery=delivered
                )
        except BufferError:
            done(KafkaError(KafkaError._QUEUE_FULL))
        except KafkaException as error:
            done(error.args[0])
        else:
            self._loop.call_soon_threadsafe(self._wake.set)

    def later(self, wait_s: float, call: Callable[[], None]) -> None:
        """Do something again in a while."""
        self._loop.call_later(wait_s, call)

    async def run(self) -> None:
        """Poll for ever; ends by cancellation."""
        while True:
            if not self.size:
                self._wake.clear()
                await self._wake.wait()
            await asyncio.sleep(POLL_S)
            self.poll()

    def poll(self) -> None:
        """Serve what has come back."""
        for producer in self._producers():
            producer.poll(0)
        if self._in_vain:
            self._make_anew("a letter was not delivered in time")
        for producer in [each for each in self._former if not len(each)]:
            self._former.remove(producer)
            self._loop.run_in_executor(None, producer.close)  # it waits for its threads

    def topic_is(self, topic_id: str | None) -> None:
        """What brokers say of the topic's id now; None: nothing. On the loop."""
        before, self._topic_id = self._topic_id, topic_id or self._topic_id
        if before is not None and before != self._topic_id:
            self._make_anew("the topic was deleted and created again")

    def _make_anew(self, why: str) -> None:
        self._in_vain = False
        with self._lock:
            former, self._producer = self._producer, self._new_producer()
        log.info("dead_letters_begin_anew", topic=self._topic, letters=len(former), why=why)
        former.purge(blocking=False)  # the loop does not wait for its threads; ``poll`` hears of it
        self._former.append(former)
        self._wake.set()

    async def flush(self, deadline_s: float) -> bool:
        """Deliver what is on its way, until the deadline on the loop's clock. True: all is done."""
        while self.size and self._loop.time() < deadline_s:
            self.poll()
            await asyncio.sleep(POLL_S)
        return not self.size

    def close(self) -> None:
        """What is still under way is given up. May wait for seconds: for a thread."""
        for producer in self._producers():
            producer.purge()
            producer.close()
