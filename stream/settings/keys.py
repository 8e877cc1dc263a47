"""Every key of the settings, defined once: loading, ``config/unpush.toml`` and ``docs/settings.md`` follow this table.

Promised: the defaults, read by their kinds, make valid settings. Not promised: that a default fits your cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stream.settings import kinds
from stream.settings.kinds import Kind

APP: Final = "push_kit.apps.*"
"""The section of one app; ``*`` stands for its Client ID."""

PROPERTIES: Final = "kafka.properties"
"""The section of librdkafka's properties: any name but the refused ones (``refused.py``)."""

SECTIONS: Final = {
    "kafka": "The broker and the consumer group that shares the work among processes.",
    PROPERTIES: "Any librdkafka property, given to every client that it fits. It wins over our defaults,"
    " except those that the promises rest on: these are refused by name.",
    "topics": "The first three need equal partition counts; `unpush topics` creates what is missing.",
    "avro": "How records are encoded. Both formats are always read.",
    "store": "The local store, a cache of the topics: losing it costs time, never data.",
    "join": "How violations find their sends.",
    "push_kit": "Huawei's gateway.",
    APP: 'One section per app, `[push_kit.apps."CLIENT_ID"]`. Without a key file here or in `[push_kit]` the app waits,'
    " visibly, until there is one or its work is given up.",
    "lanes": "The most severe is called first. So that the others get on too, each has a part of all calls for itself"
    " while it has any waiting; what it does not need is for the others. One call in flight is kept for CRITICAL.",
    "dead_letters": "Records that cannot be read go to the dead-letter topic, whole.",
    "guard": "How much may be revoked without a person's word. What would be more is held, whole, before any call of"
    " it, until somebody approves or withdraws it; it blocks nobody. Devices are counted as places in sends' lists: one"
    " that was sent to twice counts twice.",
    "http": "Health, metrics, the API and the page for people.",
    "log": "The log goes to stderr.",
    "shutdown": "SIGTERM and SIGINT.",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key. ``default`` is the TOML value; ``environment_only``: refused in the file, since it is a secret."""

    section: str
    name: str
    kind: Kind
    default: str | int | float | bool
    unit: str
    reason: str
    environment_only: bool = False

    @property
    def full_name(self) -> str:
        """As people write it: ``section.name``."""
        return f"{self.section}.{self.name}"

    @property
    def field(self) -> str:
        """The field of the section's dataclass: the name and its unit."""
        return self.name + self.kind.suffix


_TOPIC: Final = kinds.text(
    "a topic's name of at most 249 letters, digits, '.', '_' or '-'", r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}"
)
_DEVICES: Final = kinds.whole(0, 1_000_000_000)

KEYS: Final = (
    Key("kafka", "bootstrap_servers", kinds.brokers(), "localhost:9092", "host:port, with commas between",
        "Where to find the cluster; two or three brokers are enough, they name the others."),
    Key("kafka", "group_id", kinds.text("a name", r"\S(.*\S)?"), "unpush", "",
        "Processes with the same id share the work. The readers outside the group call themselves "
        "`<group_id>-sends` and `<group_id>-past`: with ACLs allow the prefix."),
    Key("kafka", "group_protocol", kinds.choice("classic", "consumer"), "classic", "",
        "After kill -9 the shards move in 6 s with `classic` (cooperative-sticky), in the broker's 45 s with "
        "`consumer` (KIP-848, which the broker must support)."),
    Key("topics", "message_sent", _TOPIC, "push.message-sent", "",
        "Sends, written by the sending services."),
    Key("topics", "violation_detected", _TOPIC, "push.violation-detected", "",
        "Violations, written by the moderation pipeline."),
    Key("topics", "revoke_result", _TOPIC, "push.revoke-result", "",
        "Results, written by Unpush; also its memory of what is done."),
    Key("topics", "dead_letter", _TOPIC, "push.revoke-dead-letter", "",
        "Records that could not be read; any partition count."),
    Key("avro", "write_format", kinds.choice("single-object", "confluent"), "single-object", "",
        "How results are written. `single-object` needs no registry; `confluent` needs `registry_url`."),
    Key("avro", "registry_url", kinds.base_url(path_allowed=True, optional=True), "", "http(s) address",
        "Schema Registry. Empty: none, and records in Confluent's format are dead letters."),
    Key("avro", "auto_register", kinds.flag(), True, "",
        "For `confluent`: register the schema as subject `<topic>-value`; false: only look it up."),
    Key("avro", "registry_user", kinds.optional_text(), "", "",
        "User name for the registry.", environment_only=True),
    Key("avro", "registry_password", kinds.secret(), "", "",
        "Password for the registry.", environment_only=True),
    Key("store", "path", kinds.path(required=True), "state", "directory",
        "A directory of this process alone, on a local disk."),
    Key("store", "retention", kinds.duration("1m", "3650d"), "72h", "duration",
        "How long a send can still be revoked, and a violation stays active. The topics must keep their records "
        "at least as long."),
    Key("join", "not_found_after", kinds.duration("0s", "3650d"), "60s", "duration",
        "How long a violation without a send waits before NOT_FOUND is reported: sends may be slower than "
        "detectors. A send that still comes is revoked all the same."),
    Key("join", "since", kinds.instant(), "", "RFC 3339",
        "Violations detected earlier are ignored: for the first deployment on an old topic. A WITHDRAWN or APPROVED "
        "counts for one that is not, whatever time it carries. Empty: none are ignored."),
    Key("push_kit", "url", kinds.base_url(path_allowed=False, optional=False),
        "https://push-api.cloud.huawei.com", "http(s) address",
        "The gateway, or the simulator in its place."),
    Key("push_kit", "proxy", kinds.proxy(), "", "http address",
        "The HTTP proxy through which alone Push Kit can be reached. Of an https gateway it sees the host name and "
        "nothing else (CONNECT). Empty: none; HTTPS_PROXY is not read, so that no variable sends tokens another way."),
    Key("push_kit", "proxy_user", kinds.optional_text(), "", "",
        "User name for the proxy (Basic).", environment_only=True),
    Key("push_kit", "proxy_password", kinds.secret(), "", "",
        "Password for the proxy.", environment_only=True),
    Key("push_kit", "send_trace", kinds.flag(), True, "",
        "Whether a call carries a W3C `traceparent`: the violation's, or that of the call's own span. It says nothing "
        "but ids, and lets a proxy or a simulator of yours appear in the trace; false: Push Kit is told none."),
    Key("push_kit", "timeout", kinds.duration("10ms", "10m"), "10s", "duration",
        "For one call, from its first byte to the last of the reply; then it is tried again."),
    Key("push_kit", "max_in_flight", kinds.whole(1, 10_000), 64, "calls",
        "Calls under way at once, this process. A higher number helps only where the gateway is far away."),
    Key("push_kit", "max_in_flight_per_app", kinds.whole(0, 10_000), 0, "calls",
        "Of these, one app's at most, so that the others find room however slow its answers are; CRITICAL may have "
        "more. 0: three quarters, and of a few one less than is not kept for CRITICAL; all while this process has met "
        "no other app and answers come within a second."),
    Key("push_kit", "give_up_after", kinds.duration("0s", "3650d"), "24h", "duration",
        "Then FAILED, with the last reason. Counted from the later record's timestamp, never before one attempt "
        "unless the app is paused; not beyond `store.retention`, which it is by default where that is shorter."),
    Key("push_kit", "retry_first", kinds.duration("10ms", "1h"), "500ms", "duration",
        "The longest wait before the second attempt; it doubles each time, and the wait is drawn at random below "
        "it."),
    Key("push_kit", "retry_longest", kinds.duration("10ms", "24h"), "60s", "duration",
        "Where the doubling ends."),
    Key("push_kit", "retry_share", kinds.share(), 0.2, "share of calls",
        "While more of an app's calls than this come to nothing, no more of its calls than this are retries, so that "
        "an outage is not made worse; a few a second go out in any case."),
    Key("push_kit", "paused", kinds.flag(), False, "",
        "No calls, and nothing is given up."),
    Key("push_kit", "key_file", kinds.path(), "", "path",
        "The service account key as downloaded; one serves all apps of its project. Empty: each app has its own."),
    Key(APP, "key_file", kinds.path(), "", "path",
        "This app's service account key. Empty: that of `[push_kit]`."),
    Key(APP, "devices_per_second", _DEVICES, 0, "devices per second",
        "Our part of the app's quota, over all instances; no call is larger than one second of this instance's "
        "share (at least one token). 0: no limit of our own, only what is learned."),
    Key(APP, "paused", kinds.flag(), False, "",
        "No calls for this app, and nothing of it is given up."),
    Key(APP, "hold_shared_notify_ids", kinds.flag(), False, "",
        "Once this app was found to give one notifyId to several messages, its violations wait for a person, since a "
        "revoke takes away what the slot shows now. As with a limit in `[guard]`, no violation of any app starts "
        "before its sends are counted."),
    Key("lanes", "high", kinds.share(), 0.2, "share of calls",
        "For violations of severity HIGH. The three together at most 0.9."),
    Key("lanes", "medium", kinds.share(), 0.1, "share of calls",
        "For severity MEDIUM."),
    Key("lanes", "low", kinds.share(), 0.05, "share of calls",
        "For severity LOW. 0: only when nothing more severe can be called."),
    Key("dead_letters", "max_bad_share", kinds.share(), 0.5, "share",
        "Above this share of bad records among a topic's last 1,000 the service stops with exit 1: that is a bad "
        "deployment, not bad records. 1: never."),
    Key("guard", "max_devices_per_violation", _DEVICES, 0, "devices",
        "A violation that would revoke more is held until a person approves it; sends that carry it above this later "
        "hold what is left. 0: off."),
    Key("guard", "max_devices_per_hour", _DEVICES, 0, "devices",
        "Per app and instance, over a sliding hour: a violation that would make it more is held. What a person "
        "approved does not count. Rebuilt after a restart from the results written while it was set. 0: off."),
    Key("http", "listen", kinds.address(), "127.0.0.1:8070", "host:port",
        "Beyond loopback only with a `token_file`."),
    Key("http", "advertise", kinds.reachable_at(), "", "host:port or http(s) address",
        "How other instances and people reach this one: it stands in the `client.id` of the group's member. Empty: as "
        "`listen`, and where that is all addresses, the one that the broker sees."),
    Key("http", "token_file", kinds.path(), "", "path",
        "A file with the bearer token that all but /livez, /readyz and the page's own files, which tell nothing, ask "
        "for. Empty: none asked."),
    Key("log", "level", kinds.choice("debug", "info", "warning", "error"), "info", "",
        "The least level that is written."),
    Key("log", "format", kinds.choice("auto", "console", "json"), "auto", "",
        "`auto`: `console` on a terminal, else `json`."),
    Key("shutdown", "drain", kinds.duration("0s", "1h"), "20s", "duration",
        "How long calls under way may take to end after SIGTERM; keep it below the platform's own patience "
        "(Kubernetes: 30 s)."),
)  # fmt: skip
"""In the order of the file."""

BY_NAME: Final = {key.full_name: key for key in KEYS}
