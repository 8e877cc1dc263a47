"""A record's headers, as far as the client can tell them.

Kafka's protocol wants names in UTF-8 and its brokers do not look; confluent-kafka raises SystemError for all headers
of a record with one name that is not, whatever is asked of them.
"""

from __future__ import annotations

from typing import cast

from confluent_kafka import Message

Headers = list[tuple[str, bytes | None]]


def headers_of(message: Message) -> Headers | None:
    """The headers in their order; None: some have a name that is not UTF-8, and none can be told. Never raises."""
    try:
        return cast("Headers", list(message.headers() or []))
    except SystemError:
        return None
