"""What keys say about the partitioner of the producers, and what two topics say about each other."""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import pytest

from stream.wire.partitioners import (
    ENOUGH_KEYS,
    WINDOW_KEYS,
    Agreement,
    Partitioner,
    disagree,
    explaining,
)

Place = Callable[[bytes], int]


def fnv1a(key: bytes, partitions: int) -> int:
    """Sarama's hash partitioner, by its documentation: the remainder of a signed number, without its sign."""
    number = 0x811C9DC5
    for byte in key:
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return abs(number - (number >> 31 << 32)) % partitions


def keys(count: int, name: str = "k") -> list[bytes]:
    return [f"{name}-{n}".encode() for n in range(count)]


def producing(partitioner: Partitioner, partitions: int = 8) -> Place:
    """Where a producer with this partitioner puts a key."""
    return lambda key: next(p for p in range(partitions) if partitioner in explaining(key, p, partitions))


def observed(places: list[Place], count: int, partitions: int = 8) -> Agreement:
    """A topic whose keys come from these producers in turn."""
    agreement = Agreement()
    for n, key in enumerate(keys(count)):
        agreement.observe(key, places[n % len(places)](key), partitions)
    return agreement


MURMUR2, CRC32, FNV1A = (producing(each) for each in Partitioner)


JAVAS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Murmur2 of some keys, signed, as Apache Kafka's own test has them (UtilsTest, testMurmur2)."""


def test_a_key_stands_where_java_puts_it() -> None:
    """The house rule: Java's murmur2, its sign bit taken off."""
    assert [MURMUR2(key) for key in JAVAS] == [(number & 0x7FFFFFFF) % 8 for number in JAVAS.values()]


def test_a_key_stands_where_librdkafka_puts_it() -> None:
    """librdkafka's default: CRC32, unsigned."""
    assert [CRC32(key) for key in keys(200)] == [crc32(key) % 8 for key in keys(200)]


def test_a_key_stands_where_sarama_puts_it() -> None:
    """Sarama's FNV-1a, worked out here once more."""
    assert [FNV1A(key) for key in keys(200)] == [fnv1a(key, 8) for key in keys(200)]


@pytest.mark.parametrize("partitioner", list(Partitioner))
@pytest.mark.parametrize("partitions", [2, 3, 8, 100])
def test_a_topic_shows_its_partitioner(partitioner: Partitioner, partitions: int) -> None:
    """Certain with enough keys, whatever the number of partitions."""
    agreement = observed([producing(partitioner, partitions)], WINDOW_KEYS, partitions)
    assert agreement.partitioner is partitioner
    assert agreement.explained(partitioner) == agreement.keys == WINDOW_KEYS


def test_nothing_is_certain_with_few_keys_or_one_partition() -> None:
    """Agreement by chance is no agreement."""
    assert observed([MURMUR2], ENOUGH_KEYS - 1).partitioner is None
    assert observed([MURMUR2], ENOUGH_KEYS).partitioner is Partitioner.MURMUR2
    assert observed([lambda _: 0], 500, partitions=1).partitioner is None


def test_one_key_repeated_is_one_key() -> None:
    """A campaign of a thousand sends of one message says no more than one send."""
    agreement = Agreement()
    for _ in range(1_000):
        agreement.observe(b"campaign", MURMUR2(b"campaign"), 8)
    assert (agreement.keys, agreement.partitioner) == (1, None)


def test_a_producer_that_places_by_itself_has_no_known_partitioner() -> None:
    """A record whose partition contradicts its key under every known partitioner is not an error."""
    agreement = observed([lambda key: len(key) % 8], WINDOW_KEYS)
    assert agreement.partitioner is None
    assert disagree(agreement, observed([CRC32], WINDOW_KEYS)) is None


def test_a_systematic_disagreement_is_said_with_its_numbers() -> None:
    """Topics: sends by one partitioner, violations by another: said loudly."""
    sentence = disagree(observed([MURMUR2], WINDOW_KEYS), observed([CRC32], 40))
    assert sentence is not None
    assert "MURMUR2" in sentence
    assert "explains 100 of the last 100 keys of sends" in sentence
    assert "CRC32" in sentence
    assert "explains 40 of the last 40 keys of violations" in sentence


def test_topics_that_agree_are_silent() -> None:
    """Whichever partitioner it is: what matters is that both producers use the same."""
    for place in (MURMUR2, CRC32, FNV1A):
        assert disagree(observed([place], WINDOW_KEYS), observed([place], 30)) is None


def test_mixed_producers_are_not_called_systematic() -> None:
    """One producer in two with another partitioner is no topic of that partitioner."""
    assert disagree(observed([MURMUR2, CRC32], WINDOW_KEYS), observed([MURMUR2], WINDOW_KEYS)) is None


def test_a_stray_record_does_not_hide_a_disagreement() -> None:
    """One in twenty placed otherwise: still systematic."""
    mostly: list[Place] = [CRC32] * 19 + [lambda key: (CRC32(key) + 1) % 8]
    assert disagree(observed([MURMUR2], WINDOW_KEYS), observed(mostly, WINDOW_KEYS)) is not None


def test_a_mended_producer_ends_the_disagreement_and_stays_so() -> None:
    """When the recent window agrees again it is over."""
    sends, violations = observed([MURMUR2], WINDOW_KEYS), observed([CRC32], WINDOW_KEYS)
    assert disagree(sends, violations)
    for key in keys(WINDOW_KEYS, "mended"):
        violations.observe(key, MURMUR2(key), 8)
    assert disagree(sends, violations) is None
    assert violations.partitioner is Partitioner.MURMUR2
    assert violations.keys == WINDOW_KEYS


def test_the_same_keys_from_a_mended_producer_replace_what_they_said() -> None:
    """A test run with twenty message ids over and over must recover too."""
    agreement = observed([CRC32], ENOUGH_KEYS)
    for key in keys(ENOUGH_KEYS):
        agreement.observe(key, MURMUR2(key), 8)
    assert agreement.partitioner is Partitioner.MURMUR2


def test_another_number_of_partitions_starts_anew() -> None:
    """What was seen with eight partitions says nothing about sixteen."""
    agreement = observed([CRC32], WINDOW_KEYS)
    agreement.observe(b"k", 3, 16)
    assert (agreement.keys, agreement.partitioner) == (1, None)
