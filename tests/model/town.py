"""Two instances that share the shards of one log, and everything that may happen to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import KafkaError

from stream.model import Topic
from stream.pushkit.reply import Reply, Verdict
from stream.work.packing import Parcel
from tests.model.instance import Instance
from tests.model.judge import Judge
from tests.model.log import PARTITION_OF, PARTITIONS, Log, TurnedLoop
from tests.model.memory import MemoryStore
from tests.service.small_world import MINUTE_MS, NOT_FOUND_AFTER_S

INSTANCES: Final = 2
EVERYTHING: Final = 1_000
MINOR_MOVES: Final = ["chores", "flush", "read one", "recall", "run"]
LEAVING_MS: Final = 2_000
CATCHES_UP_S: Final = 60
"""So long a rate of the least that is learned takes to let through what waits in a small world."""
"""How long a shard that leaves waits for its calls and results."""


class Town:
    """See the module's words."""

    def __init__(self) -> None:
        self.log = Log()
        self.loop = TurnedLoop(self.log.clock)
        self.judge = Judge(self.log)
        self.instances = [self._begin(MemoryStore()) for _ in range(INSTANCES)]
        self.owner: dict[int, Instance | None] = dict.fromkeys(range(PARTITIONS))
        for number in self.owner:
            self.comes(number, self.instances[number % INSTANCES])

    def _begin(self, store: MemoryStore) -> Instance:
        return Instance(self.log, self.loop, store, self.judge)

    def close(self) -> None:
        for instance in self.instances:
            instance.end()
        self.loop.close()

    def turn(self) -> None:
        """Let the loops go on."""
        self.loop.turn()
        for instance in self.instances:
            instance.check()

    # --- shards

    def held(self, instance: Instance) -> list[int]:
        """The shards that an instance holds, or believes to hold."""
        return sorted(instance.here)

    def free(self) -> list[int]:
        """Shards that nobody owns."""
        return [number for number, owner in self.owner.items() if owner is None]

    def frozen(self) -> list[tuple[int, Instance]]:
        """Shards that somebody holds who owns them no more."""
        return [(n, each) for each in self.instances for n in each.here if self.owner[n] is not each]

    def comes(self, number: int, instance: Instance) -> None:
        """A shard that nobody owns comes to an instance that does not hold it."""
        self.owner[number] = instance
        instance.arrive(number)

    def leaves(self, number: int, answers: list[str], delivered: int, late: Iterable[Topic], *, flushed: bool) -> None:
        """A shard leaves its owner: some of its calls are answered in time, some results arrive, then it is fenced."""
        instance = self.owner[number]
        assert instance is not None
        instance.begin_to_leave(number)
        for how in answers[: len(instance.flights)]:
            instance.answer(0, REPLIES[how])
        self.turn()
        self.deliver(instance, delivered)
        self.turn()
        self.log.clock.ms += LEAVING_MS
        self.fence(number, instance, late)
        self.owner[number] = None
        if flushed:
            instance.store.flush()

    def fence(self, number: int, instance: Instance, late: Iterable[Topic]) -> None:
        """The instance lets go of a shard; what its producer still holds may arrive beside the next owner's work."""
        of_it = [sent.result.message_id for sent in instance.produced if PARTITION_OF[sent.result.message_id] == number]
        self.judge.overlapped.update(of_it)
        instance.fence(number, late)

    def freezes(self, number: int) -> None:
        """A shard goes from its owner to the other, and its owner does not notice."""
        owner = self.owner[number]
        [other] = [each for each in self.instances if each is not owner]
        self.judge.overlapped.update(message for message, at in PARTITION_OF.items() if at == number)
        self.comes(number, other)

    def dies(self, at: int, delivered: int, flushed: int, *, lost: bool) -> None:
        """kill -9: some of what its producer held arrives, of its store stays what was flushed."""
        dead = self.instances[at]
        self.deliver(dead, delivered)
        dead.end()
        for number in [number for number, owner in self.owner.items() if owner is dead]:
            self.owner[number] = None
        dead.store.flush_some(flushed)
        self.instances[at] = self._begin(MemoryStore() if lost else dead.store.after_kill())

    def deliver(self, instance: Instance, most: int) -> None:
        """Kafka takes the oldest results."""
        for _ in range(min(most, len(instance.produced))):
            instance.deliver()

    def refuse(self, instance: Instance, most: int) -> None:
        """Kafka takes none of them now."""
        for _ in range(min(most, len(instance.produced))):
            instance.deliver(KafkaError(KafkaError.NOT_ENOUGH_REPLICAS))

    # --- what goes on by itself

    def move(self, how: str, instance: Instance, most: int) -> None:
        """One small thing that goes on without anybody's doing, ``most`` times at most."""
        match how:
            case "all":
                self._all(instance, most)
            case "turn":
                self.turn()
            case "answer":
                for _ in range(min(most, len(instance.flights))):
                    instance.answer(0, REPLIES["revoked"])
            case "deliver":
                self.deliver(instance, most)
            case "plan":
                instance.plan(most)
            case "hear":
                instance.hear(most)
            case "chores":
                instance.chores()
            case "flush":
                instance.store.flush_some(most)
            case _:
                self._move_shards(how, instance, most)

    def _move_shards(self, how: str, instance: Instance, most: int) -> None:
        for number, here in instance.here.items():
            match how:
                case "read":
                    for topic in Topic:
                        instance.read(number, topic, most)
                case "read one":
                    instance.read(number, Topic(1 + most % 3), EVERYTHING)
                case "past":
                    for topic in Topic:
                        instance.read_past(number, topic, 0, most)
                case "recall":
                    instance.recall(number)
                case "run":
                    here.shard.write_run()

    def _all(self, instance: Instance, most: int) -> None:
        """Read all, hear all, and a little of the work."""
        self.read_all(instance)
        instance.plan(most)
        self.turn()

    # --- to the end

    def rest(self) -> None:
        """Let everything be read, answered and delivered, every retry be due and every wait be over."""
        for number, instance in self.frozen():
            self.fence(number, instance, ())
        for number in self.free():
            self.comes(number, self.instances[0])
        for instance in self.instances:
            self.read_all(instance)
        self.judge.all_is_read = True
        for wait_ms in (0, 11_000, 61_000, 61_000, int(2_000 * NOT_FOUND_AFTER_S), 61_000, MINUTE_MS):
            self.log.clock.ms += wait_ms
            self._until_quiet()
        self._let_time_pass()
        for instance in self.instances:
            assert not instance.desk.planning.plans.any, "a message waits for ever to be planned"
            assert not instance.calls.pending.waiting, "calls wait for ever"
            assert not instance.flights, "a call is not answered"
            assert not instance.outbox.size, "results wait for ever"

    def _let_time_pass(self) -> None:
        """What a learned rate lets through only with time: a call or two at each look at the clock, ever more as it
        grows."""
        for _ in range(CATCHES_UP_S):
            if not any(
                instance.calls.pending.waiting or instance.outbox.size or not instance.at_rest
                for instance in self.instances
            ):
                return
            self.log.clock.ms += 1_000
            self._until_quiet()

    @staticmethod
    def read_all(instance: Instance) -> None:
        for number in instance.here:
            instance.recall(number)
            for topic in Topic:
                instance.read(number, topic, EVERYTHING)
                while instance.unread_past(number, topic):
                    instance.read_past(number, topic, 0, EVERYTHING)
        instance.hear(EVERYTHING)

    def _until_quiet(self) -> None:
        for _ in range(2_000):
            busy = [self._goes_on(instance) for instance in self.instances]
            self.turn()
            if not any(busy):
                return
        raise AssertionError("never quiet")

    def _goes_on(self, instance: Instance) -> bool:
        busy = not instance.at_rest
        self.read_all(instance)
        busy |= instance.plan(EVERYTHING // 10)
        while instance.flights:
            instance.answer(0, REPLIES["revoked"])
        self.deliver(instance, EVERYTHING)
        instance.chores()
        return busy


def _each(verdict: Verdict, http_status: int) -> Callable[[Parcel], Reply]:
    return lambda parcel: Reply(
        verdict, http_status, "code", "why", rejected=tuple((i, "noRight") for i in range(len(parcel.tokens)))
    )


def _alone_or(reply: Reply, alone: Callable[[Parcel], Reply]) -> Callable[[Parcel], Reply]:
    return lambda parcel: reply if len(parcel.tokens) > 1 else alone(parcel)


_rejected = _each(Verdict.REJECTED, 400)
REPLIES: Final[dict[str, Callable[[Parcel], Reply]]] = {
    "revoked": lambda _: Reply(Verdict.REVOKED, 200, "80000000"),
    "partial": _alone_or(Reply(Verdict.PARTIAL, 200, rejected=((1, "noRight"),)), _rejected),
    "rejected": _rejected,
    "failed": _each(Verdict.FAILED, 403),
    "split": _alone_or(Reply(Verdict.SPLIT, 400), _rejected),
    "retry": lambda _: Reply(Verdict.RETRY, 500),
    "flow control": lambda _: Reply(Verdict.FLOW_CONTROL, 503),
    "smaller": _alone_or(Reply(Verdict.SMALLER, 400, token_limit=1), _rejected),
    "pause": lambda _: Reply(Verdict.PAUSE, 403),
}
