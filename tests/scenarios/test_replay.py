"""Dead letters repaired: what could not be read is, once the settings are mended, and is sent back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.__main__ import main
from stream.model import Outcome
from stream.wire.registry import Registry
from stream.wire.wire import Wire
from tests.scenarios.conftest import MakeTown
from tests.scenarios.test_registry import SUBJECTS
from tests.scenarios.town import LETTERS
from tests.wire.schema_registry import SchemaRegistry


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    """Our own small one."""
    with SchemaRegistry() as server:
        yield server


def test_what_had_no_registry_is_sent_back_and_revoked_and_a_second_time_does_no_harm(
    make_town: MakeTown, registry: SchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contract: a Confluent record without a registry is `unknown_schema`; a record sent back twice does no harm."""
    town = make_town(wire=Wire("confluent", Registry(registry.url, SUBJECTS)))
    sends = [town.maker.send(tokens=3) for _ in range(20)]
    violations = town.maker.violations(send.head.message_id for send in sends[:12])
    town.tell(sends, violations)
    first = town.run().wait_until_it_works()
    town.wait_until(lambda: len(town.story.letters) == 32, what="the last dead letter")
    assert first.stop() == 0
    mended = {"registry_url": registry.url}
    again = town.run(avro=mended).wait_until_it_works()
    file = str(town.settings(avro=mended))
    tokens = {token.decode() for send in sends[:12] for token in send.tokens}
    for _ in range(2):
        assert main(["replay", "-c", file, "--reason", "unknown_schema"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("sent back 32 of 32 dead letters")
        assert "cannot be read" not in said
        town.wait_until(lambda: len(_revoked(town.push_kit.book().revoked)) == len(tokens), what="the last token")
        town.pass_time(1)
        assert _revoked(town.push_kit.book().revoked) == tokens  # and nobody innocent
    assert {seen.result.outcome for seen in town.story.results} == {Outcome.REVOKED}
    assert len(town.story.letters) == 32, f"{LETTERS} has grown"
    assert again.stop() == 0


def _revoked(book: dict[tuple[str, int], dict[str, int]]) -> set[str]:
    return {token for tokens in book.values() for token in tokens}
