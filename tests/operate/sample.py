"""An overview in which something of everything happens, with producers who mean no good."""

from __future__ import annotations

from typing import Any, Final

AT_MS: Final = 1_780_000_000_000
MARKUP: Final = '<img src="x" onerror="document.title=1"><script>document.title=2</script>'
LONG: Final = "campaign-" + "0123456789" * 20

_NOTHING: Final = {
    "waiting": 0,
    "active": 0,
    "held": 0,
    "settled": 0,
    "withdrawn": 0,
    "oldest": None,
    "toRevoked": None,
}


def _topic(unread: int = 0, restoring: int = 0, read_back_ms: int | None = None) -> dict[str, Any]:
    return {"unread": unread, "restoring": restoring, "readBackTo": read_back_ms}


def _shard(partition: int, **sends: Any) -> dict[str, Any]:
    return {"partition": partition, "sends": _topic(**sends), "violations": _topic(), "results": _topic()}


def _app(client_id: str, waits_for: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "clientId": client_id,
        "waitsFor": waits_for,
        "since": None if waits_for is None else AT_MS - 90_000,
        "devicesPerSecond": 3_000,
        "learnedDevicesPerSecond": 2_400.5,
        "breaker": "closed",
        "largestCall": 1_000,
        "callsInFlight": 2,
        "devices": {"revoked": 120_000, "rejected": 12},
        **more,
    }


def _held() -> dict[str, Any]:
    return {
        "violationId": "held; rm -rf ~",
        "messageId": MARKUP,
        "severity": "HIGH",
        "reason": "wrong price",
        "detector": "price-check",
        "detectedAt": AT_MS - 60_000,
        "heldFor": "it would revoke 1200000 devices, guard.max_devices_per_violation allows 100000",
        "tokensOpen": 1_200_000,
        "apps": ["104729331"],
    }


def _result(number: int, **more: Any) -> dict[str, Any]:
    return {
        "resultId": f"{number:032x}",
        "completedAt": AT_MS - 1_000 * number,
        "violationId": f"finding-{number}",
        "messageId": f"campaign-{number}",
        "severity": "HIGH",
        "outcome": "REVOKED",
        "clientId": "104729331",
        "tokensRequested": 1_000,
        "tokensRevoked": 1_000,
        "tokensRejected": 0,
        "attempts": 1,
        "detail": None,
        "late": False,
        "tookMs": 85,
        **more,
    }


def sample() -> dict[str, Any]:
    """A new one each time: it may be changed."""
    oldest = {"violationId": LONG, "messageId": "campaign-7", "since": AT_MS - 200_000}
    took = {"calls": 500, "p50Ms": 85, "p99Ms": 2_400, "lastAt": AT_MS - 500}
    return {
        "at": AT_MS,
        "version": "0.1.0",
        "groupId": "unpush",
        "dryRun": False,
        "since": AT_MS - 3_600_000,
        "ready": True,
        "reasons": [],
        "notes": [{"word": "app_waits", "why": f"app {MARKUP} makes no calls: refused"}],
        "partitions": 12,
        "shards": [_shard(0), _shard(1, unread=12), _shard(2, restoring=5_000, read_back_ms=AT_MS - 18 * 3_600_000)],
        "restore": {
            "sends": {"remaining": 5_000, "recordsPerSecond": 900, "leftSeconds": 5.6, "readBackTo": AT_MS - 64_800_000}
        },
        "apps": [_app("104729331"), _app(MARKUP, "refused: 80300007", callsInFlight=0, devices={})],
        "lanes": {"CRITICAL": 0, "HIGH": 1_234, "MEDIUM": 0, "LOW": 17},
        "retriesWaiting": 3,
        "callsInFlight": 2,
        "callsInFlightBound": 64,
        "gatewaySilentSince": None,
        "guard": {
            "maxDevicesPerViolation": 1_000_000,
            "maxDevicesPerHour": 0,
            "hour": {},
            "heldViolations": 1,
            "heldDevices": {},
            "waiting": 0,
        },
        "outbox": 41,
        "deadLetters": {"unknown_schema": 2},
        "openMessages": 1_300,
        "partitionersDiffer": None,
        "storeBytes": 48_000_000,
        "countedAt": AT_MS,
        "retentionMs": 72 * 3_600_000,
        "violations": {
            "CRITICAL": _NOTHING,
            "HIGH": _NOTHING | {"active": 1_234, "held": 1, "settled": 4_000, "oldest": oldest, "toRevoked": took},
            "MEDIUM": _NOTHING,
            "LOW": _NOTHING | {"waiting": 17, "withdrawn": 2},
        },
        "held": [_held()],
        "results": {"REVOKED": 4_000, "ALREADY_REVOKED": 12, "FAILED": 1},
        "recent": [
            _result(1),
            _result(2, violationId=MARKUP, messageId=LONG, outcome="PARTIALLY_REVOKED", tokensRejected=3, late=True),
            _result(3, outcome="NOT_FOUND", clientId=None, tokensRequested=0, tokensRevoked=0, tookMs=None),
        ],
    }
