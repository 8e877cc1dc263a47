"""The other instances of the group: which shards each has, and where its HTTP is reached.

No gossip of our own: an instance writes its address behind its member's ``client.id``, such as
``unpush-violations@http://10.0.0.7:8070``, and the broker shows it to everybody who describes the group.

Promised: pure functions; an address is a scheme, a host and a port and nothing else, whatever a member calls itself;
one that cannot be reached from here (another machine's loopback) is None. Not promised: that an Unpush answers there:
whoever may join the group may name an address.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from stream.kafka.unowned import assigned

_SIGN: Final = "@"
_BASE_URL: Final = re.compile(
    r"(?P<scheme>https?)://(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})))(?P<port>:\d{1,5})?"
)

Ip = IPv4Address | IPv6Address


class Member(NamedTuple):
    """Of a group, as the broker has it: ``host`` is where it sees the member."""

    member_id: str
    client_id: str
    host: str
    assignment: bytes
    """In Kafka's own bytes; empty while shards are being shared out."""


class Group(NamedTuple):
    """``at_rest``: nothing is being shared out."""

    at_rest: bool
    members: tuple[Member, ...]


class Instance(NamedTuple):
    """One process of the group. ``at``: its base URL; None: it names none, or none that can be reached from here."""

    shards: frozenset[int]
    at: str | None


class Fellows(NamedTuple):
    """All others. ``at_rest``: no shard is on its way from one to another."""

    at_rest: bool
    others: tuple[Instance, ...]

    def owner(self, shard: int) -> Instance | None:
        """Who has it; None: nobody else."""
        return next((each for each in self.others if shard in each.shards), None)


def signed(client_id: str, told: str | None) -> str:
    """A member's ``client.id`` with its address."""
    return client_id if told is None else f"{client_id}{_SIGN}{told}"


def fellows(group: Group, topic: str, own: str | None) -> Fellows:
    """Of a group that shares out ``topic``; ``own``: our member's id, None where we are no member."""
    here = next((_ip(each.host) for each in group.members if each.member_id == own), None)
    others = (each for each in group.members if each.member_id != own)
    return Fellows(group.at_rest, tuple(Instance(_shards(each, topic), reached_at(each, here)) for each in others))


def reached_at(member: Member, here: Ip | None) -> str | None:
    """Its base URL; ``here``: where the broker sees ourselves, since a loopback address is good on one machine only."""
    match = _BASE_URL.fullmatch(member.client_id.rpartition(_SIGN)[2])
    if match is None or not _is_port(match["port"]):
        return None
    host, seen = _ip(match["six"] or match["name"]), _ip(member.host)
    if host is None:
        local = match["name"].lower() == "localhost"
        return match[0] if not local or _same(seen, here) else None
    if host.is_unspecified:  # listens on all its addresses: the broker knows one
        host = seen
    if host is None or (host.is_loopback and not _same(seen, here)):
        return None
    return f"{match['scheme']}://{f'[{host}]' if host.version == 6 else host}{match['port'] or ''}"


def _is_port(written: str | None) -> bool:
    return written is None or 0 < int(written[1:]) <= 65_535


def _same(seen: Ip | None, here: Ip | None) -> bool:
    return seen is not None and seen == here


def _ip(written: str) -> Ip | None:
    """Java writes ``name/address`` with an empty name; IPv6 perhaps with a zone, which is nobody else's."""
    try:
        return ip_address(written.rpartition("/")[2].partition("%")[0])
    except ValueError:
        return None


def _shards(member: Member, topic: str) -> frozenset[int]:
    try:
        return frozenset(assigned(member.assignment, topic))
    except (struct.error, UnicodeDecodeError):  # a stranger in the group that means something else by these bytes
        return frozenset()
