"""Results on their way to Kafka: what is too large for it is cut smaller, and nothing is tried again without end."""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from stream.brokers.apache import ApacheKafka
from stream.kafka import properties
from stream.model import Outcome, RegistryDown, RejectedToken, RevokeResult, SendPart
from stream.service import outbox as rooms
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.letterbox import LetterBox
from stream.service.outbox import MAX_RESULT_BYTES, Outbox, Written
from stream.service.settling import Settling
from stream.service.trouble import LASTING_S
from stream.settings import default_settings
from stream.state.shard import Shard
from stream.wire.wire import Wire
from stream.work.endings import Ending, result_of
from stream.work.judgement import Violation
from stream.work.packing import MAX_PARTS, Parcel
from tests.topics import FreshTopics
from tests.work.making import parcel, violation

PATIENCE_S = 20.0


class Remembering:
    """A shard that takes marks and forgets them."""

    owned, number, keeps_admitted = True, 0, False

    def head(self, kind: bytes, time_ms: int) -> bytes:
        return kind

    def add(self, *added: object) -> None:
        """Takes everything."""


class Bounded:
    """A producer whose broker refuses a batch, which is all that was produced between two polls, above ``most``
    bytes, and which itself refuses a record above ``own`` bytes."""

    def __init__(self, most: int, own: int = 64 << 20) -> None:
        self.most, self.own = most, own
        self.batches: list[int] = []
        self._batch: list[tuple[bytes, bytes, Callable[..., None]]] = []

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, *, on_delivery: Any, headers: Any) -> None:
        if len(value) + len(key) > self.own:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self._batch.append((value, key, on_delivery))

    def poll(self, wait_s: float) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        size = sum(len(value) + len(key) for value, key, _ in batch)
        self.batches.append(size)
        error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE) if size > self.most else None
        for at, (_, _, delivered) in enumerate(batch):
            delivered(error, Message(topic="results", partition=0, offset=at, timestamp=(2, 1_764_000_000_000)))


def no_headers(*_: Any) -> None:
    raise AssertionError("every send can be read")


class Post:
    """An outbox with the settling that cuts its results; ``settled`` is what has arrived."""

    def __init__(self, producer: Any, topic: str = "results", shard: Any = None) -> None:
        self.shard = cast(Shard, shard or Remembering())
        self.settled: list[Written] = []
        self.pieces: list[Parcel] = []
        self.outbox = Outbox(
            producer,
            topic,
            Wire(),
            False,
            self.settled.append,
            lambda written: self.settling.halves(written),
            lambda written: self.settling.as_known_now(written),
        )
        desk = cast(Desk, self)
        self.settling = Settling(
            desk,
            self.outbox,
            cast(LetterBox, None),
            Clock(),
            "sends",
            no_headers,
            lambda: None,
            lambda: False,
            dry=False,
        )

    def replaced(self, parcel: Parcel, pieces: list[Parcel]) -> None:
        """What the desk is told."""
        if parcel in self.pieces:
            self.pieces.remove(parcel)
        self.pieces += pieces

    def write(self, made: Parcel, ending: Ending) -> Written:
        result = result_of(made, ending, (made.place_count, made.place_count), 1_764_000_000_000, False)
        written = Written(self.shard, result, made, ())
        self.outbox.write(written)
        return written

    async def until(self, right: Callable[[], bool]) -> None:
        running = asyncio.create_task(self.outbox.run())
        async with asyncio.timeout(PATIENCE_S):
            while not right():
                await asyncio.sleep(0.005)
                assert not running.done(), running.exception()
        running.cancel()

    def covered(self) -> list[SendPart]:
        return sorted(part for written in self.settled for part in written.result.sends)


def noise(characters: int, seed: int = 1) -> str:
    """Text that no compression makes much smaller."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=characters))


def refused_call(tokens: int, token_characters: int, finding: Violation | None = None) -> tuple[Parcel, Ending]:
    """A call whose every token was refused for good, so that its result names them all."""
    names = [noise(token_characters, at) for at in range(tokens)]
    made = parcel([name.encode() for name in names], finding=finding)
    made.attempts = 1
    return made, Ending(Outcome.FAILED, 0, tuple(RejectedToken(name, "80300007") for name in names), 200)


def with_ids(characters: int) -> Violation:
    """A violation whose ids take so much of a record's key and value together."""
    return violation()._replace(message_id=noise(characters // 4, 2), violation_id=noise(characters // 2, 3))


async def test_a_result_without_room_for_its_tokens_is_cut_before_it_is_written() -> None:
    """A result has at most 900 kB, else the work is cut smaller; only the last piece may say complete."""
    post = Post(Bounded(1_048_588))
    made, ending = refused_call(1_000, 400, with_ids(600_000))
    post.write(made, ending)
    await post.until(lambda: len(post.settled) == len(post.pieces) > 1)
    sizes = [post.outbox._wire.encode_result(written.result) for written in post.settled]
    assert max(map(len, sizes)) + 150_000 <= MAX_RESULT_BYTES
    assert sum(part.token_count for part in post.covered()) == 1_000
    complete = [w.result.violation_tokens_matched == w.result.violation_tokens_settled for w in post.settled]
    assert complete == [False] * (len(complete) - 1) + [True]
    assert {written.parcel for written in post.settled} == set(post.pieces), "the desk hears of each piece"


async def test_the_largest_result_of_an_ordinary_violation_is_not_cut() -> None:
    """1,000 SendParts and the largest refusals that one call can have fit; ordinary work keeps one result a call."""
    post = Post(Bounded(1_048_588))
    made, ending = refused_call(1_000, 470)
    made.parts = [SendPart(999, 2**40 + at, 2**20, 1) for at in range(MAX_PARTS)]
    post.write(made, ending._replace(code="c" * 100, detail="d" * 9_000))
    await post.until(lambda: len(post.settled) == 1)
    assert post.pieces == []


async def test_small_results_that_are_too_large_together_leave_one_by_one() -> None:
    """One refused batch must not be tried again as the same batch for ever, nor tear its results to pieces."""
    producer = Bounded(3_000)
    post = Post(producer)
    for number in range(50):
        post.write(parcel([b"token"], offset=number), Ending(Outcome.REVOKED, 1))
    await post.until(lambda: len(post.settled) == 50)
    assert post.pieces == []
    assert len({written.result.result_id for written in post.settled}) == 50
    assert [size > 3_000 for size in producer.batches].count(True) == 1


async def test_a_campaigns_results_are_marked_a_few_at_a_time() -> None:
    """A thousand marks a result: when dozens of them arrive at once, the loop calls for others in between."""
    post = Post(Bounded(64 << 20))
    for number in range(20):
        made = parcel([b"token"] * MAX_PARTS)
        made.parts = [SendPart(0, number * MAX_PARTS + at, 0, 1) for at in range(MAX_PARTS)]
        post.write(made, Ending(Outcome.REVOKED, 1))
    post.outbox.poll()
    assert 1 <= len(post.settled) <= rooms.MARKED_AT_ONCE // MAX_PARTS
    assert post.outbox.size == 20 - len(post.settled)
    await post.until(lambda: len(post.settled) == 20)
    assert post.outbox.size == 0


async def test_a_result_that_its_topic_refuses_is_halved_until_it_fits() -> None:
    """A topic may take less than 900 kB; then the work is cut smaller still, and every place settles."""
    post = Post(Bounded(20_000))
    post.write(*refused_call(1_000, 100))
    await post.until(lambda: len(post.settled) == len(post.pieces) >= 6)
    assert sum(part.token_count for part in post.covered()) == 1_000
    assert {written.parcel for written in post.settled} == set(post.pieces)


async def test_a_result_whose_ids_do_not_fit_is_said_once_and_goes_when_it_may(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that is refused for its size all the same is not tried again without end, and holds up nobody."""
    monkeypatch.setattr(rooms, "REFUSED_AGAIN_S", 0.1)
    producer = Bounded(20_000)
    post = Post(producer)
    made, ending = refused_call(4, 10, with_ids(60_000))
    post.write(made, ending)
    post.write(parcel([b"token"], offset=9), Ending(Outcome.REVOKED, 1))
    await post.until(lambda: post.outbox.too_large == 4 and len(post.settled) == 1)
    assert post.outbox.size == 0, "a drain does not wait for it"
    tried = len(producer.batches)
    await asyncio.sleep(0.25)
    running = asyncio.create_task(post.outbox.run())
    await asyncio.sleep(0.25)
    running.cancel()
    assert 0 < len(producer.batches) - tried <= 4 * 5, "now and then, not every turn"
    assert capsys.readouterr().out.count("result_too_large") == 4
    producer.most = 1_000_000
    await post.until(lambda: post.outbox.too_large == 0 and len(post.settled) == 5)
    assert sum(part.token_count for part in post.covered()) == 5


async def test_a_result_that_never_left_is_no_end_of_the_service() -> None:
    """The client itself refuses what is above its own bound: as if the topic had."""
    post = Post(Bounded(1_000_000, own=20_000))
    made, ending = refused_call(2, 10, with_ids(60_000))
    post.write(made, ending)
    await post.until(lambda: post.outbox.too_large == 2)


async def test_that_no_result_can_be_written_is_said_once_it_lasts_and_until_one_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """/readyz: able to act; else the reasons. A failover of seconds is none."""
    loop, now_s = asyncio.get_running_loop(), 1_000.0
    monkeypatch.setattr(loop, "time", lambda: now_s)
    post = Post(Bounded(1 << 20))
    encode = post.outbox._wire.encode_result
    said: list[str | None] = []

    def silent(result: RevokeResult) -> bytes:
        raise RegistryDown("the registry answers 503")

    monkeypatch.setattr(post.outbox._wire, "encode_result", silent)
    post.write(*refused_call(1, 10))
    said.append(post.outbox.stuck)
    now_s += LASTING_S
    said.append(post.outbox.stuck)
    monkeypatch.setattr(post.outbox._wire, "encode_result", encode)
    post.outbox._retry()
    post.outbox.poll()
    said.append(post.outbox.stuck)
    assert said == [None, "for 5 s: the registry answers 503", None]
    monkeypatch.setattr(post.outbox._wire, "encode_result", silent)
    post.write(*refused_call(1, 10))
    now_s += LASTING_S
    assert post.outbox.stuck is not None
    post.shard.owned = False
    post.outbox._retry()
    assert post.outbox.stuck is None, "nothing waits any more"


async def test_what_waited_for_the_registry_leaves_before_later_results_of_its_violation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Totals only grow: the last result of a violation has the last of them. Other violations wait for nobody."""
    post = Post(Bounded(1 << 20))
    encode, away = post.outbox._wire.encode_result, True

    def perhaps(result: RevokeResult) -> bytes:
        if away:
            raise RegistryDown("the registry answers 503")
        return encode(result)

    monkeypatch.setattr(post.outbox._wire, "encode_result", perhaps)
    other = violation()._replace(violation_id="other")
    written = [post.write(parcel([b"token"], offset=number), Ending(Outcome.REVOKED, 1)) for number in (1, 2)]
    post.outbox._retry()
    away = False
    written.append(post.write(parcel([b"token"], offset=3), Ending(Outcome.REVOKED, 1)))
    passing = post.write(parcel([b"token"], offset=4, finding=other), Ending(Outcome.REVOKED, 1))
    await post.until(lambda: len(post.settled) == 4)
    assert [each.result.result_id for each in post.settled] == [each.result.result_id for each in (passing, *written)]


async def test_a_shard_that_has_gone_takes_its_large_results_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fence: whatever was under way must leave no trace."""
    monkeypatch.setattr(rooms, "REFUSED_AGAIN_S", 0.05)
    shard, producer = Remembering(), Bounded(20_000)
    post = Post(producer, shard=shard)
    post.write(*refused_call(1, 10, with_ids(60_000)))
    await post.until(lambda: post.outbox.too_large == 1)
    shard.owned = False
    assert post.outbox.too_large == 0
    tried = len(producer.batches)
    await asyncio.sleep(0.2)
    post.outbox.poll()
    assert (len(producer.batches), post.outbox._too_large) == (tried, {})


@pytest.fixture
def real(kafka: ApacheKafka, topics: FreshTopics) -> Iterator[tuple[Producer, str]]:
    """The service's own producer, and a results topic that takes 100 kB."""
    (topic,) = topics.create("results", partitions=1, config={"max.message.bytes": "100000"})
    producer = Producer(properties.producer(default_settings(kafka={"bootstrap_servers": kafka.bootstrap_servers})))
    yield producer, topic
    producer.close()


async def test_a_real_topic_gets_every_result_whatever_its_bound(
    real: tuple[Producer, str], kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on Apache Kafka: batches, single results and ids that are too large for the topic."""
    monkeypatch.setattr(rooms, "REFUSED_AGAIN_S", 0.3)
    producer, topic = real
    post = Post(producer, topic)
    for number in range(300):
        post.write(*refused_call(5, 200, violation(f"v-{number}")))
    post.write(*refused_call(1_000, 300))
    post.write(*refused_call(2, 10, with_ids(250_000)))
    await post.until(lambda: post.outbox.size == 0 and post.outbox.too_large == 2)
    assert sum(part.token_count for part in post.covered()) == 300 * 5 + 1_000
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    entry = ConfigEntry("max.message.bytes", "2000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(timeout=20)
    await post.until(lambda: post.outbox.size == 0 and post.outbox.too_large == 0)
    assert sum(part.token_count for part in post.covered()) == 300 * 5 + 1_000 + 2
