"""A strict Push Kit on this machine: the server that tests, demo, bench and users call instead of Huawei's.

Promised: the rules that Huawei documents for ``messages:revoke``, faults on demand, and a book of what was revoked.
Not promised: what no document says; docs/simulator.md names each such choice and how to change it.
"""

from stream.pushkit.simulator.apps import AUDIENCE, App, app_of_key_file, make_key_file
from stream.pushkit.simulator.book import AppCounts, Book, CallSeen, Ledger, Mark
from stream.pushkit.simulator.faults import (
    Answer,
    AppFaults,
    Body,
    Down,
    End,
    Failure,
    Faults,
    FaultsError,
    FlowControl,
    Latency,
    PartialStyle,
    Rules,
    Shape,
)
from stream.pushkit.simulator.server import Simulator
from stream.pushkit.simulator.slots import Message, Slots, State, Tally
from stream.pushkit.simulator.tokens import TokenFacts

__all__ = [
    "AUDIENCE",
    "Answer",
    "App",
    "AppCounts",
    "AppFaults",
    "Body",
    "Book",
    "CallSeen",
    "Down",
    "End",
    "Failure",
    "Faults",
    "FaultsError",
    "FlowControl",
    "Latency",
    "Ledger",
    "Mark",
    "Message",
    "PartialStyle",
    "Rules",
    "Shape",
    "Simulator",
    "Slots",
    "State",
    "Tally",
    "TokenFacts",
    "app_of_key_file",
    "make_key_file",
]
