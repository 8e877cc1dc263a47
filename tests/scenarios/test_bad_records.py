"""Records that cannot be read: each in the dead-letter topic whole, all others unharmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from stream.model import Outcome, Status
from stream.wire.partitioners import Partitioner
from stream.wire.primitives import long, text
from stream.wire.wire import Wire
from tests.kafka.named import produce_named
from tests.scenarios.town import LETTERS, SENDS, VIOLATIONS, Town

OWN_HEADERS: list[tuple[str, bytes | None]] = [
    ("x-request", b"\x00\xff"),
    ("twice", b"1"),
    ("twice", b"2"),
    ("none", None),
]
GIGABYTES = 5 << 30


class Bad(NamedTuple):
    """A bad record and what is to be said of it."""

    topic: str
    key: bytes | None
    value: bytes | None
    reason: str


def bad_records(town: Town, wire: Wire) -> Iterator[Bad]:
    """One of each kind, with ids of its own."""
    maker = town.maker
    send = maker.send(tokens=[b"t" * 60] * 5)
    key, value = send.head.message_id.encode(), wire.encode_send(send)
    head = value[: value.index(b"t" * 60) - 3]  # up to the number of tokens
    event = maker.violation(maker.message_id())
    name, told = event.message_id.encode(), wire.encode_violation(event)
    for topic, good, own, last_cut in ((SENDS, value, key, -40), (VIOLATIONS, told, name, -1)):
        yield Bad(topic, own, b"junk", "wire_format")
        yield Bad(topic, own, b"", "wire_format")
        yield Bad(topic, own, b'{"messageId": "1"}', "wire_format")
        yield Bad(topic, own, None, "invalid")
        yield Bad(topic, None, good, "key")
        yield Bad(topic, b"another", good, "key")
        yield Bad(topic, b"", good, "key")
        yield Bad(topic, own, b"\xc3\x01" + b"\x11" * 8 + good[10:], "unknown_schema")
        yield Bad(topic, own, b"\x00\x00\x00\x00\x07" + good[10:], "unknown_schema")
        yield Bad(topic, own, good + b"\x01\x02\x03", "decode")
        yield Bad(topic, own, good[:10] + long(GIGABYTES) + good[11:], "decode")
        yield from (Bad(topic, own, good[:cut], "wire_format") for cut in (1, 9))
        yield from (Bad(topic, own, good[:cut], "decode") for cut in (12, 20, last_cut))
    yield Bad(SENDS, key, head + long(GIGABYTES) + long(60) + b"t" * 60, "decode")
    yield Bad(SENDS, key, head + long(1) + long(GIGABYTES) + b"t" * 60, "decode")
    yield Bad(SENDS, key, head + long(-5) + long(-GIGABYTES) + b"t" * 60, "decode")
    yield Bad(VIOLATIONS, name, _with_status(told, event.reason, 7), "decode")
    rest = told[10 + len(text(event.violation_id)) + len(text(event.message_id)) :]
    yield Bad(VIOLATIONS, b"", told[:10] + text("v") + text("") + rest, "invalid")


def _with_status(told: bytes, reason: str, index: int) -> bytes:
    at = told.rindex(text(reason)) - 1
    return told[:at] + long(index) + told[at + 1 :]


Place = tuple[str, int, int, int]


def tell_bad(town: Town, bad: list[Bad]) -> dict[Place, Bad]:
    """Write them; where each came to stand, with its time."""
    told: dict[Place, Bad] = {}

    def arrived(each: Bad) -> Any:
        def note(error: KafkaError | None, message: Message) -> None:
            assert error is None
            place = message.topic() or "", message.partition() or 0, message.offset() or 0, message.timestamp()[1]
            told[place] = each

        return note

    for each in bad:
        town.put(each.topic, each.key, each.value, headers=OWN_HEADERS, on_delivery=arrived(each))
    town.flush()
    return told


def check_letters(town: Town, told: dict[Place, Bad]) -> None:
    """Each bad record is there once and whole, with what was wrong and where it stood."""
    found: Counter[Place] = Counter()
    for letter in town.story.letters:
        ours = {name: (value or b"").decode() for name, value in letter.headers if name.startswith("unpush.error.")}
        place = tuple(ours[f"unpush.error.{name}"] for name in ("topic", "partition", "offset", "timestamp"))
        at = place[0], int(place[1]), int(place[2]), int(place[3])
        bad = told[at]
        found[at] += 1
        assert (letter.key, letter.value) == (bad.key, bad.value)
        assert list(letter.headers[: len(OWN_HEADERS)]) == OWN_HEADERS
        assert (ours["unpush.error.reason"], bad) == (bad.reason, bad)
        assert 0 < len(ours["unpush.error.message"]) <= 300
    assert found == Counter(told.keys())


def test_bad_records_are_dead_letters_and_harm_nobody(town: Town) -> None:
    """Promise 4: hostile Avro of every kind costs no memory and no time worth naming."""
    sends, violations = town.maker.all_kinds(300)
    kinds = [list(bad_records(town, Wire())) for _ in range(8)]
    instance = town.run().wait_until_it_works()
    town.tell(sends[:300], violations[:50])
    town.wait_until_results(50)
    before_mb = instance.memory_mb
    told = tell_bad(town, kinds[0] + kinds[1])
    good = town.maker.mixed(sends[300:], violations[50:])
    for number, some in enumerate(kinds[2:]):
        told |= tell_bad(town, town.maker.random.sample(some, len(some)))
        town.tell(good[number :: len(kinds) - 2])
    town.wait_until_settled()
    town.wait_until(lambda: len(town.story.letters) >= len(told), what="every dead letter")
    town.judge()
    check_letters(town, told)
    assert instance.memory_mb < before_mb + 50


def test_a_header_whose_name_is_not_utf8_harms_nobody(town: Town) -> None:
    """Kafka's brokers take it and the client cannot tell it: a good record is acted on, a bad one a dead letter."""
    instance = town.run().wait_until_it_works()
    good, unreadable = town.maker.send(), town.maker.send()
    [event, other] = town.maker.violations([good.head.message_id, unreadable.head.message_id])
    wire, servers = Wire(), town.topics.bootstrap_servers

    def write(topic: str, message_id: str, value: bytes) -> None:
        key = message_id.encode()
        place = Partitioner.MURMUR2.place(key, town.partitions)
        produce_named(servers, town.topics.name(topic), place, key, value, b"bad\xff\xfename")

    write(SENDS, good.head.message_id, wire.encode_send(good))
    write(SENDS, unreadable.head.message_id, wire.encode_send(unreadable)[:-30] + b"\0")
    write(VIOLATIONS, event.message_id, wire.encode_violation(event))
    write(VIOLATIONS, "bad", b"junk")
    town.tell(other)
    town.wait_until(lambda: len(town.story.results) == 2 and len(town.story.letters) == 2)
    outcomes = {seen.result.message_id: seen.result.outcome for seen in town.story.results}
    assert outcomes == {good.head.message_id: Outcome.REVOKED, unreadable.head.message_id: Outcome.FAILED}
    told = {letter.key: dict(letter.headers)["unpush.error.message"] for letter in town.story.letters}
    assert b"not UTF-8" in (told[b"bad"] or b"")
    assert instance.stop() == 0


def test_a_send_that_turns_out_unreadable_fails_alone(town: Town) -> None:
    """Its token list is read when a violation needs it: a dead letter then, and FAILED with a SendPart of no tokens."""
    maker, wire = town.maker, Wire()
    good = [maker.send(tokens=3) for _ in range(20)]
    hidden = [
        wire.encode_send(maker.send(good[0].head.message_id, 2)) + b"\0",
        wire.encode_send(maker.send(good[1].head.message_id, ()))[:-1] + long(GIGABYTES) + b"\0",
        wire.encode_send(maker.send(good[2].head.message_id, [b"\xff\xfe", b"x"])),
    ]
    bad = [
        Bad(SENDS, send.head.message_id.encode(), value, "decode") for send, value in zip(good, hidden, strict=False)
    ]
    town.run().wait_until_it_works()
    town.tell(good)
    told = tell_bad(town, bad)
    town.wait_until_stored()
    assert not town.story.letters
    town.tell(maker.violations(send.head.message_id for send in good))
    town.wait_until_settled()
    town.judge()
    failed = [seen.result for seen in town.story.results if seen.result.outcome is Outcome.FAILED]
    assert sorted((result.sends[0].partition, result.sends[0].offset) for result in failed) == sorted(
        place[1:3] for place in told
    )
    assert {(result.detail, result.sends[0].token_count, result.tokens_requested) for result in failed} == {
        ("unreadable", 0, 0)
    }
    slots = {send.head.message_id: (send.head.client_id, send.head.push_type) for send in good}
    assert all((result.client_id, result.push_type) == slots[result.message_id] for result in failed), (
        "as its head says"
    )
    check_letters(town, told)


def test_too_many_bad_records_stop_the_service(town: Town) -> None:
    """More than half of the last 1,000 bad, none before the first 100: exit 1 with the numbers; nothing is lost."""
    sends = [town.maker.send() for _ in range(40)]
    town.tell(sends)
    instance = town.run(dead_letters={"max_bad_share": 0.5}).wait_until_it_works()
    tell_bad(town, [Bad(SENDS, b"k", b"junk", "wire_format")] * 90)
    town.pass_time(1)
    assert instance.running
    instance.dismissed = True
    tell_bad(town, [Bad(SENDS, b"k", b"junk", "wire_format")] * 60)
    assert instance.ended(15) == 1
    last = instance.text.splitlines()[-1]
    assert last.startswith("unpush: too many bad records")
    assert "Traceback" not in instance.text
    town.run()
    town.tell(town.maker.violations(send.head.message_id for send in sends))
    town.wait_until_settled()
    town.judge()


@pytest.mark.parametrize("topic", [SENDS, VIOLATIONS])
def test_reading_waits_while_dead_letters_cannot_be_written(town: Town, topic: str) -> None:
    """Reading of that partition stops and waits rather than drop the record; then all goes on."""
    limit_letters(town, 100)
    instance = town.run().wait_until_it_works()
    told = tell_bad(town, [Bad(topic, b"k", b"junk" * 500, "wire_format")])
    instance.wait_for("reading_waits", topic=town.topics.name(topic))
    sends = [town.maker.send() for _ in range(200)]
    town.tell(sends, town.maker.violations(send.head.message_id for send in sends))
    town.wait_until_results(100)
    assert not town.story.letters
    limit_letters(town, 2_000_000)
    town.wait_until_settled()
    town.wait_until(lambda: bool(town.story.letters), what="the dead letter")
    town.judge()
    check_letters(town, told)


def test_a_dead_letter_topic_that_is_missing_for_a_while_gets_each_record_once(town: Town) -> None:
    """No copies are queued meanwhile, and the violations of other partitions go on at once."""
    admin = AdminClient({"bootstrap.servers": town.topics.bootstrap_servers})
    instance = town.run().wait_until_it_works()
    admin.delete_topics([town.topics.name(LETTERS)])[town.topics.name(LETTERS)].result(timeout=20)
    told = tell_bad(town, [Bad(topic, b"k", b"junk", "wire_format") for topic in (VIOLATIONS, SENDS)])
    for topic in (VIOLATIONS, SENDS):
        instance.wait_for("reading_waits", topic=town.topics.name(topic))
    sends = [town.maker.send() for _ in range(200)]
    for some in (sends[:100], sends[100:]):
        town.tell(some, town.maker.violations(send.head.message_id for send in some))
        town.pass_time(4)
    assert len({seen.result.violation_id for seen in town.story.results}) >= 100, "all but one partition"
    town.topics.create(LETTERS, partitions=1)
    town.wait_until_settled()
    town.wait_until(lambda: len(town.story.letters) >= len(told), what="the dead letters")
    town.pass_time(2)
    town.judge()
    check_letters(town, told)


def test_a_dead_letter_larger_than_its_topic_takes_waits_whole_until_it_may(town: Town) -> None:
    """A record as large as its topic takes is larger with our headers; it is not cut, and the cure is named."""
    limit_letters(town, 1_000_000)
    instance = town.run().wait_until_it_works()
    told = tell_bad(town, [Bad(SENDS, b"k", town.maker.random.randbytes(999_800), "wire_format")])
    waits = instance.wait_for("reading_waits", topic=town.topics.name(SENDS))
    assert "raise its max.message.bytes" in str(waits)
    limit_letters(town, 2_000_000)
    town.wait_until(lambda: bool(town.story.letters), what="the dead letter")
    check_letters(town, told)


def limit_letters(town: Town, size: int) -> None:
    admin = AdminClient({"bootstrap.servers": town.topics.bootstrap_servers})
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, town.topics.name(LETTERS), incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(timeout=20)


def test_unknown_status_is_bad_and_never_confirmed(town: Town) -> None:
    """An unknown status is a bad record: nothing is revoked for it, nor withdrawn."""
    maker, wire = town.maker, Wire()
    sends = [maker.send() for _ in range(10)]
    events = maker.violations(send.head.message_id for send in sends)
    town.run().wait_until_it_works()
    town.tell(sends)
    for event in events:
        value = _with_status(wire.encode_violation(event), event.reason, 3)
        town.put(VIOLATIONS, event.message_id.encode(), value)
    town.flush()
    town.wait_until(lambda: len(town.story.letters) == len(events), what="dead letters")
    assert town.push_kit.calls == 0
    town.tell(event._replace(status=Status.CONFIRMED) for event in events)
    town.wait_until_settled()
    town.judge()
