"""Bad records on their way: each letter's end is told, whatever becomes of its topic."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream.brokers.apache import ApacheKafka
from stream.kafka import properties
from stream.service.letterbox import Letter, LetterBox
from stream.settings import default_settings

LETTER = Letter(b"key", b"garbage", [("own", b"header")])
PATIENCE_S = 30.0


class Pen:
    """A producer that delivers nothing until the test says so."""

    def __init__(self) -> None:
        self.under_way: list[Callable[[KafkaError | None, Any], None]] = []
        self.back: list[tuple[Callable[[KafkaError | None, Any], None], KafkaError | None]] = []
        self.refuses: Exception | None = None
        self.closed = False

    def __len__(self) -> int:
        return len(self.under_way) + len(self.back)

    def produce(self, topic: str, value: bytes, key: bytes, headers: Any, on_delivery: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        assert (topic, value, key, headers) == ("dead", LETTER.value, LETTER.key, LETTER.headers)
        self.under_way.append(on_delivery)

    def answer(self, error: KafkaError | None = None) -> None:
        self.back += [(each, error) for each in self.under_way]
        self.under_way.clear()

    def purge(self, *, blocking: bool = True) -> None:
        self.answer(KafkaError(KafkaError._PURGE_QUEUE))

    def poll(self, timeout: float) -> None:
        back, self.back = self.back, []
        for told, error in back:
            told(error, None)

    def close(self) -> None:
        self.poll(0)
        self.closed = True


class Desk:
    """A letterbox, the producers it made, and what it was told of each letter."""

    def __init__(self) -> None:
        self.pens: list[Pen] = []
        self.told: list[KafkaError | None] = []
        self.box = LetterBox("dead", "first", self._new)

    def _new(self) -> Producer:
        self.pens.append(Pen())
        return cast(Producer, self.pens[-1])

    def send(self) -> None:
        self.box.send(LETTER, self.told.append)

    async def until(self, right: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(within_s):
            while not right():
                self.box.poll()
                await asyncio.sleep(0.005)


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_it_polls_by_itself_as_soon_as_there_is_a_letter(desk: Desk) -> None:
    running = asyncio.create_task(desk.box.run())
    await asyncio.sleep(0)
    desk.send()
    desk.pens[0].answer()
    async with asyncio.timeout(PATIENCE_S):
        while not desk.told:
            await asyncio.sleep(0.005)
            assert not running.done()
    running.cancel()


async def test_one_client_is_there_before_the_first_letter_and_is_enough(desk: Desk) -> None:
    """It takes it a while to know its brokers."""
    assert len(desk.pens) == 1
    desk.send()
    desk.send()
    desk.pens[0].answer()
    await desk.until(lambda: desk.told == [None, None])
    assert (desk.box.size, len(desk.pens)) == (0, 1)


async def test_a_topic_made_anew_gets_a_new_client_and_what_the_old_one_had_is_told_as_failed(desk: Desk) -> None:
    """librdkafka's never finds its leaders: https://github.com/confluentinc/librdkafka/issues/4898."""
    desk.send()
    for same in ("first", None, "first"):
        desk.box.topic_is(same)
    assert not desk.told
    desk.box.topic_is("second")
    await desk.until(lambda: [error.code() for error in desk.told if error] == [KafkaError._PURGE_QUEUE])
    desk.send()
    assert (len(desk.pens), len(desk.pens[1]), desk.box.size) == (2, 1, 1)
    await desk.until(lambda: desk.pens[0].closed)
    desk.box.topic_is("second")
    assert not desk.pens[1].closed


async def test_a_client_that_could_not_deliver_in_time_is_not_asked_again(desk: Desk) -> None:
    """Nobody may have noticed that its topic is another; and nothing else helps."""
    desk.send()
    desk.pens[0].answer(KafkaError(KafkaError._MSG_TIMED_OUT))
    await desk.until(lambda: desk.pens[0].closed)
    desk.send()
    assert (len(desk.told), len(desk.pens)) == (1, 2)


async def test_what_a_former_client_says_too_late_is_no_fault_of_the_present_one(desk: Desk) -> None:
    """It was given up already; each of its letters would else take the next client away too."""
    desk.send()
    desk.pens[0].answer(KafkaError(KafkaError._MSG_TIMED_OUT))
    desk.box.topic_is("second")
    await desk.until(lambda: desk.pens[0].closed)
    desk.send()
    assert ([pen.closed for pen in desk.pens], len(desk.told)) == ([True, False], 1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BufferError(), KafkaError._QUEUE_FULL),
        (KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)), KafkaError.MSG_SIZE_TOO_LARGE),
    ],
)
async def test_a_letter_that_cannot_leave_is_told_at_once(desk: Desk, error: Exception, code: int) -> None:
    desk.send()
    desk.pens[0].refuses = error
    desk.send()
    [told] = desk.told
    assert told is not None
    assert told.code() == code


async def test_the_end_waits_for_letters_until_its_deadline(desk: Desk) -> None:
    desk.send()
    now_s = asyncio.get_running_loop().time
    assert not await desk.box.flush(now_s() + 0.02)
    asyncio.get_running_loop().call_later(0.02, desk.pens[0].answer)
    assert await desk.box.flush(now_s() + PATIENCE_S)
    desk.send()
    desk.box.close()
    assert desk.told[1] is not None


# --- the real thing


@pytest.fixture(scope="module")
def three() -> Iterator[ApacheKafka]:
    with ApacheKafka(3) as kafka:
        yield kafka


def made(admin: AdminClient, replicas: list[int]) -> None:
    """The topic, led by the first of them."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            admin.create_topics([NewTopic("dead", 1, replica_assignment=[replicas])])["dead"].result(PATIENCE_S)
        except KafkaException:  # the one before is still going
            assert time.monotonic() < until_s
            time.sleep(0.2)
        else:
            return


@pytest.mark.kafka
@pytest.mark.timeout(180)
async def test_letters_reach_a_topic_made_anew_whose_leaders_are_others(three: ApacheKafka) -> None:
    """A partition whose leader was elected more than once, its topic deleted, and made anew under another leader."""
    admin = AdminClient({"bootstrap.servers": three.bootstrap_servers})
    controller = three.controller
    first, second = (number for number in (1, 2, 3) if number != controller)
    made(admin, [first, second])
    three.kill_node(first)
    three.restart_node(first)
    desk = Desk()
    settings = default_settings(kafka={"bootstrap_servers": three.bootstrap_servers})
    desk.box.close()
    desk.box = LetterBox("dead", "first", lambda: Producer(properties.producer(settings, "dead-letters")))
    desk.send()
    await desk.until(lambda: desk.told == [None])
    admin.delete_topics(["dead"], operation_timeout=PATIENCE_S)["dead"].result(PATIENCE_S)
    desk.send()
    await asyncio.to_thread(made, admin, [controller, first])
    with contextlib.suppress(TimeoutError):
        await desk.until(lambda: len(desk.told) > 1, 3.0)
    if len(desk.told) == 1:  # as long as librdkafka is so; else nothing is left to show
        desk.box.topic_is("second")
        await desk.until(lambda: len(desk.told) == 2)
        assert desk.told.pop() is not None
        desk.send()
    await desk.until(lambda: desk.told == [None, None])
    desk.box.close()
