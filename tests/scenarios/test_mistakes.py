"""A new user's mistakes: the right exit code and one sentence, no traceback, no secret."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.model import Send
from tests.scenarios.service import Instance
from tests.scenarios.town import SENDS, Town

SECRET = "hunter2-do-not-print"


def sentence(instance: Instance) -> str:
    """What it said to a person, beside its log: one line."""
    lines = instance.text.splitlines()
    plain = [line for line in lines if not line.startswith("{")]
    assert "Traceback" not in instance.text
    assert SECRET not in instance.text
    assert len(plain) == 1, instance.text
    assert plain[0].startswith("unpush: ")
    for line in lines:
        if line != plain[0]:
            json.loads(line)
    return plain[0]


def broken_keys(folder: Path) -> dict[str, str]:
    """Key files that are none."""
    pem = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"
    fields = {"project_id": "1", "key_id": "2", "sub_account": "3", "private_key": pem}
    (folder / "pem.json").write_text(json.dumps(fields))
    return {name: str(folder / f"{name}.json") for name in ("missing", "pem")}


@pytest.fixture
def taken_port() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_every_mistake_is_one_sentence_and_the_right_exit_code(town: Town, taken_port: str) -> None:
    """Contract, Commands and Settings: 1 failed, 2 wrong usage or settings; never a traceback. Settings by themselves:
    tests/settings."""
    key = f'push_kit.apps."{town.push_kit.apps[0]}"'
    (town.folder / "a-file").write_text("")
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (1, "127.0.0.1:9", {"kafka": {"bootstrap_servers": "127.0.0.1:9"}}),
        (1, "no-such-topic; unpush topics", {"topics": {"revoke_result": "no-such-topic"}}),
        (1, taken_port, {"http": {"listen": taken_port}}),
        (1, "a-file", {"store": {"path": "a-file/state"}}),
        (2, "join.not_found_afer", {"join": {"not_found_afer": "1s"}}),
        (2, "kafka.properties", {"kafka__properties": {"session.timeout.msx": "1"}}),
        *((2, f"{name}.json", {key: {"key_file": file}}) for name, file in broken_keys(town.folder).items()),
    ]
    started = [
        (code, what, town.run(f"mistake-{number}", **changes)) for number, (code, what, changes) in enumerate(cases)
    ]
    for code, what, instance in started:
        instance.dismissed = True
        assert instance.ended(60) == code, (what, instance.text)
        assert what in sentence(instance)


def test_a_missing_settings_file_is_said(town: Town) -> None:
    """No file, no service: exit 2."""
    instance = town.run(settings=town.folder / "nowhere.toml")
    instance.dismissed = True
    assert instance.ended() == 2
    assert "nowhere.toml" in sentence(instance)


def test_unequal_partition_counts_stop_the_start_with_the_numbers(town: Town) -> None:
    """Co-partitioning: `run` refuses to go on, with the numbers in the message."""
    town.topics.create("wider", partitions=town.partitions + 2)
    instance = town.run(topics={"message_sent": town.topics.name("wider")})
    instance.dismissed = True
    assert instance.ended() == 1
    said = sentence(instance)
    assert f"has {town.partitions + 2}" in said
    assert f"has {town.partitions}" in said


def test_a_store_belongs_to_one_process(town: Town) -> None:
    """The second one with the same store ends with exit 1, the first goes on."""
    first = town.run().wait_until_it_works()
    second = town.run()
    second.dismissed = True
    assert second.ended() == 1
    assert "state-a" in sentence(second)
    sends: list[Send] = [town.maker.send() for _ in range(10)]
    town.tell(sends, town.maker.violations(send.head.message_id for send in sends))
    town.wait_until_settled()
    town.judge()
    assert first.stop() == 0


def test_a_changed_partition_count_stops_the_start(town: Town) -> None:
    """Keys would have moved: exit 1, and what to do."""
    assert town.run().wait_until_it_works().stop() == 0
    wider = [town.topics.name(f"wide-{name}") for name in ("sent", "found", "results")]
    town.topics.create("wide-sent", "wide-found", "wide-results", partitions=town.partitions + 1)
    names = dict(zip(("message_sent", "violation_detected", "revoke_result"), wider, strict=True))
    instance = town.run(topics=names)
    instance.dismissed = True
    assert instance.ended() == 1
    said = sentence(instance)
    assert str(town.partitions) in said
    assert str(town.partitions + 1) in said


def test_a_token_or_key_in_no_log(town: Town) -> None:
    """No secret and no whole push token anywhere, at the chattiest level too."""
    instance = town.run(log={"level": "debug"}).wait_until_it_works()
    sends, violations = town.maker.all_kinds(60)
    town.tell(sends, violations)
    town.put(SENDS, b"k", b"junk")
    town.flush()
    town.wait_until_settled()
    town.judge()
    keys = [json.loads(town.push_kit.key_file(app).read_text()) for app in town.push_kit.apps]
    pem_lines = [key["private_key"].splitlines()[2] for key in keys]
    assert not [line for line in pem_lines if line in instance.text]
    assert "Bearer" not in instance.text
