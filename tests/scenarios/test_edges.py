"""The edges as a company has them: Kafka behind SASL and TLS, the gateway behind TLS, authorities of its own."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from stream.brokers.apache import ApacheKafka
from stream.kafka.cluster import ANSWER_WITHIN_S
from stream.kafka.preflight import look
from stream.model import StartError
from stream.settings import default_settings
from tests.authority import Authority, outdated, outdated_server
from tests.scenarios.conftest import MakeTown
from tests.scenarios.gateway import ROOT
from tests.scenarios.town import Town
from tests.test_documents import blocks

HERE, NAME = "127.0.0.1", "localhost"
PASSWORD = "grüße-hunter2-do-not-print"
WRONG = "wrong-hunter3-do-not-print"
SASL_PASSWORD = "UNPUSH__KAFKA__PROPERTIES__SASL_PASSWORD"

[EXAMPLE] = [text for text in blocks(ROOT / "docs" / "operating.md", "toml") if "SASL_SSL" in text]
PROPERTIES = tomllib.loads(EXAMPLE)["kafka"]["properties"]
"""What docs/operating.md shows; the scenarios put their own authority in."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Nobody trusts it but who is told to."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def kafka(authority: Authority) -> Iterator[ApacheKafka]:
    """A node with a listener that wants a password over TLS; the town's own producers and judge go by the plain one."""
    served: dict[str, str | int] = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.certificate(HERE)),
        "sasl.enabled.mechanisms": PROPERTIES["sasl.mechanism"],
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
    with ApacheKafka(properties=served, secure=True) as broker:
        let_in(broker, PROPERTIES["sasl.username"], PASSWORD)
        yield broker


def let_in(broker: ApacheKafka, user: str, password: str) -> None:
    """The user may come in with this password from now on."""
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
    asked: list[UserScramCredentialAlteration] = [UserScramCredentialUpsertion(user, how, password.encode())]
    client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    client.alter_user_scram_credentials(asked)[user].result(20)


def behind(town: Town, kafka: ApacheKafka, authority: Authority, name: str, **other: str) -> Path:
    """A settings file for the guarded listener, with the properties of the docs' example, or ``other`` ones."""
    properties = PROPERTIES | {"ssl.ca.location": str(authority.file)} | other
    letters = {"dead_letter": town.topics.name("letters-by-command")}
    servers = {"bootstrap_servers": kafka.secure_servers}
    return town.settings(name, kafka=servers, kafka__properties=properties, topics=letters)


def begun(command: str, file: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """An `unpush` command, its output as one text."""
    return subprocess.Popen(
        [sys.executable, "-m", "stream", command, "-c", str(file), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {SASL_PASSWORD: PASSWORD} | environment,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and all it said, of which nothing is secret. It hangs no longer than a broker is waited for."""
    try:
        said, _ = process.communicate(timeout=45)
    finally:
        process.kill()
    assert PASSWORD not in said
    assert WRONG not in said
    assert "Traceback" not in said, said
    return process.returncode, said


def test_topics_are_made_checked_and_worked_on_over_sasl_and_tls(
    town: Town, kafka: ApacheKafka, authority: Authority
) -> None:
    """SCRAM-SHA-512, and TLS by an authority of one's own, as docs/operating.md shows it."""
    file = behind(town, kafka, authority, "a")
    code, said = ended(begun("topics", file, "--partitions", "4", "--replication-factor", "1"))
    assert (code, said.count("created, 4 partitions"), said.count("exists, 4 partitions")) == (0, 1, 3), said
    checking = begun("check", file)
    instance = town.run(settings=file, environment={SASL_PASSWORD: PASSWORD}).wait_until_it_works()
    sends, violations = town.maker.all_kinds(30)
    town.tell(sends, violations)
    town.wait_until_settled()
    town.judge()
    code, said = ended(checking)
    assert code == 0, said
    assert f"{kafka.secure_servers} answers" in said
    assert instance.stop() == 0
    assert PASSWORD not in instance.text


def test_a_wrong_password_or_certificate_is_one_sentence_and_exit_1(
    town: Town, kafka: ApacheKafka, authority: Authority, tmp_path: Path
) -> None:
    """One sentence each, without a secret, and no wait where no waiting helps."""
    stranger = Authority(tmp_path, "Somebody else")
    right = behind(town, kafka, authority, "right")
    untrusted = behind(town, kafka, authority, "untrusted", **{"ssl.ca.location": str(stranger.file)})
    elsewhere = tmp_path / "elsewhere.toml"  # its certificate is good for the address, not for a name
    elsewhere.write_text(right.read_text().replace(kafka.secure_servers, kafka.secure_servers.replace(HERE, NAME)))
    not_in, no_tls = ("does not let us in", "uthentication failed"), ("no TLS with it", "certificate verify failed")
    all_at_once = [
        *((begun(name, right, **{SASL_PASSWORD: WRONG}), not_in) for name in ("run", "topics", "check")),
        *((begun(name, untrusted), no_tls) for name in ("run", "check")),
        (begun("run", elsewhere), no_tls),
    ]
    for process, words in all_at_once:
        code, said = ended(process)
        [told] = [line for line in said.splitlines() if "Kafka at" in line]
        assert code == 1, said
        assert all(word in told for word in words), told


def test_a_broker_that_speaks_tls_1_1_at_most_is_refused(authority: Authority) -> None:
    """TLS 1.2 at least."""
    with outdated_server(authority.certificate(HERE)) as port:
        client = outdated(ssl.create_default_context(cafile=authority.file))
        with client.wrap_socket(socket.create_connection((HERE, port)), server_hostname=HERE) as spoken:
            assert spoken.version() == "TLSv1.1"
        properties = PROPERTIES | {"ssl.ca.location": str(authority.file), "sasl.password": PASSWORD}
        start_s = time.monotonic()
        with pytest.raises(StartError, match=r"no TLS with it.*version"):
            look(default_settings(kafka={"bootstrap_servers": f"{HERE}:{port}", "properties": properties}))
        assert time.monotonic() - start_s < ANSWER_WITHIN_S, "no waiting mends it"


def test_a_gateway_that_nobody_vouches_for_gets_nothing_and_nothing_is_lost(
    make_town: MakeTown, tmp_path: Path
) -> None:
    """Its calls are tried again and none is ended, until the machine trusts its authority: SSL_CERT_FILE."""
    vouched = Authority(tmp_path)
    trusting = {"SSL_CERT_FILE": str(vouched.file)}
    town = make_town(vouched=vouched)
    sends, violations = town.maker.all_kinds(30)
    town.tell(sends, violations)
    file = town.settings()
    checking = begun("check", file), begun("check", file, **trusting)
    wary = town.run(settings=file)
    silent = wary.wait_for("gateway_silent")
    assert silent["why"] == "TLS: certificate verify failed: unable to get local issuer certificate"
    (code, said), (code_when_trusting, said_when_trusting) = map(ended, checking)
    assert (code, code_when_trusting) == (1, 0)
    assert f"{town.push_kit.url} does not answer: {silent['why']}" in said
    assert f"{town.push_kit.url} answers" in said_when_trusting
    wary.kill()
    assert town.push_kit.calls == 0
    town.run(settings=file, environment=trusting)
    town.wait_until_settled()
    town.judge()
