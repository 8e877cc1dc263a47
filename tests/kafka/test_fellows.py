"""Who else is in the group, and where its HTTP is reached: from what the broker says of each member."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest

from stream.commands.run import dry
from stream.kafka import properties
from stream.kafka.fellows import Fellows, Group, Instance, Member, fellows, reached_at, signed
from stream.settings import Address, default_settings

HERE = ip_address("10.0.0.1")
TOPIC = "violations"


def member(told: str | None, seen: str = "/10.0.0.2", *shards: int, name: str = "b") -> Member:
    """One that the broker sees at ``seen``."""
    topic = TOPIC.encode()
    given = struct.pack(f">hih{len(topic)}si{len(shards)}i", 0, 1, len(topic), topic, len(shards), *shards)
    return Member(name, signed("unpush-violations", told), seen, given + struct.pack(">i", -1))


@pytest.mark.parametrize(
    ("told", "seen", "reached"),
    [
        ("http://10.0.0.7:8070", "/10.0.0.2", "http://10.0.0.7:8070"),
        ("https://unpush-1.unpush.svc", "/10.0.0.2", "https://unpush-1.unpush.svc"),
        ("http://[fd00::7]:8070", "/fd00:0:0:0:0:0:0:7", "http://[fd00::7]:8070"),
        ("http://0.0.0.0:8070", "/10.0.0.2", "http://10.0.0.2:8070"),
        ("http://0.0.0.0:8070", "10.0.0.2", "http://10.0.0.2:8070"),
        ("http://[::]:8070", "/fd00:0:0:0:0:0:0:7%2", "http://[fd00::7]:8070"),
        ("http://0.0.0.0:8070", "nobody knows", None),
        ("http://127.0.0.1:8070", "/10.0.0.1", "http://127.0.0.1:8070"),
        ("http://localhost:8070", "/10.0.0.1", "http://localhost:8070"),
        ("http://127.0.0.1:8070", "/10.0.0.2", None),
        ("http://LOCALHOST:8070", "/10.0.0.2", None),
        ("http://[::1]:8070", "/10.0.0.2", None),
        ("http://0.0.0.0:8070", "/127.0.0.1", None),
    ],
)
def test_an_address_is_one_that_can_be_reached_from_here(told: str, seen: str, reached: str | None) -> None:
    """Any address stands for where the broker sees the member; loopback is good on the same machine only."""
    assert reached_at(member(told, seen), HERE) == reached


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "10.0.0.7:8070",
        "ftp://10.0.0.7:8070",
        "file:///etc/passwd",
        "http://10.0.0.7:8070/admin?x=",
        "http://10.0.0.7:8070#",
        "http://user:word@10.0.0.7:8070/",
        "http://10.0.0.7:0",
        "http://10.0.0.7:65536",
        "http://10.0.0.7:8070\r\nX: y",
        "http://10.0.0.7:8070\n",
        "http://a b:1",
        "http://[::1",
        "http://[zz]:1",
        "http://-:1",
        "http://é:1",
    ],
)
def test_what_is_no_plain_address_is_none(told: str | None) -> None:
    """Whatever a member calls itself: no path, no query, no credentials, no other scheme, no second line."""
    assert reached_at(member(told), HERE) is None


def test_credentials_never_become_part_of_an_address() -> None:
    """What stands behind the last sign is all that is looked at, and it is a host and a port."""
    assert reached_at(member("http://user:word@10.0.0.7:8070"), HERE) is None
    assert reached_at(Member("b", "x@http://user@http://10.0.0.7:80", "/1.2.3.4", b""), HERE) == "http://10.0.0.7:80"


def test_the_owner_of_a_shard_is_another_that_was_given_it() -> None:
    own = member("http://127.0.0.1:1", "/10.0.0.1", 0, 1, name="a")
    b, c = member("http://127.0.0.1:2", "/10.0.0.1", 2, name="b"), member(None, "/10.0.0.3", 3, name="c")
    found = fellows(Group(True, (own, b, c)), TOPIC, "a")
    assert found == Fellows(True, (Instance(frozenset({2}), "http://127.0.0.1:2"), Instance(frozenset({3}), None)))
    assert [found.owner(shard) for shard in (0, 2, 3, 4)] == [None, found.others[0], found.others[1], None]
    assert fellows(Group(True, (own, b)), "another topic", "a").owner(2) is None


def test_who_is_no_member_reaches_nobodys_loopback() -> None:
    """It does not know where the broker sees it."""
    b = member("http://127.0.0.1:2", "/10.0.0.1", 2)
    assert fellows(Group(True, (b,)), TOPIC, None).others == (Instance(frozenset({2}), None),)


@pytest.mark.parametrize("given", [b"", b"\0", b"\0\0\0\0\0\1\0\x7fshort", b"\0\0\0\0\0\1\0\1\xff\0\0\0\0"])
def test_a_stranger_in_the_group_is_no_owner_and_no_error(given: bytes) -> None:
    """Nothing given yet, or bytes that mean something else to it."""
    stranger = Member("s", "x", "/10.0.0.2", given)
    assert fellows(Group(False, (stranger,)), TOPIC, "a") == Fellows(False, (Instance(frozenset(), None),))


@pytest.mark.parametrize(
    ("listen", "advertise", "name"),
    [
        (Address("127.0.0.1", 8070), None, "unpush-violations@http://127.0.0.1:8070"),
        (Address("::", 8070), None, "unpush-violations@http://[::]:8070"),
        (Address("0.0.0.0", 8070), "https://b.example", "unpush-violations@https://b.example"),
        (Address("127.0.0.1", 0), None, "unpush-violations"),
        (Address("127.0.0.1", 8070), "", "unpush-violations"),
    ],
)
def test_the_members_client_id_has_the_address(listen: Address, advertise: str | None, name: str) -> None:
    """Contract, Settings: http.advertise, by default as listened. No other client tells it."""
    settings = default_settings()
    settings = replace(settings, http=replace(settings.http, listen=listen, advertise=advertise))
    assert properties.member(settings)["client.id"] == name
    assert "@" not in properties.sends(settings)["client.id"]


def test_a_client_id_of_the_users_own_wins_unless_the_address_is_theirs_too() -> None:
    """Contract, Settings: any property wins over our defaults."""
    own = {"properties": {"client.id": "ours"}}
    assert properties.member(default_settings(kafka=own))["client.id"] == "ours"
    settings = default_settings(kafka=own, http={"advertise": "10.0.0.7:8070"})
    assert properties.member(settings)["client.id"] == "ours@http://10.0.0.7:8070"


def test_a_dry_run_names_no_address() -> None:
    """Where it listens is the real one's address, or a port that it does not know yet."""
    assert properties.member(dry(default_settings(http={"advertise": "10.0.0.7:8070"})))["client.id"] == (
        "unpush-dry-run-violations"
    )
