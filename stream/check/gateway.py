"""The gateway: does anybody answer, and by which clock."""

from __future__ import annotations

import asyncio
from typing import Final

from stream.model import Standing, Verdict
from stream.pushkit.client import Answered, PushKit
from stream.pushkit.proxy import WANTS_CREDENTIALS, proxy_of
from stream.settings import PushKitSettings

ABOUT: Final = "gateway"
WITHIN_S: Final = 10.0
_TLS_CURES: Final = {
    "mismatch": "the certificate is another's: is push_kit.url right?",
    "expired": "whoever runs the gateway, or the proxy between, must renew it; is this machine's clock right?",
    "certificate": "this machine must trust its issuer (SSL_CERT_FILE: a file of all that it trusts); right address?",
    "VERSION": "the gateway must speak TLS 1.2 or newer; is it the right address, and https?",
}
"""By a word of OpenSSL's; the first that fits."""

SKEW_S: Final = 60.0
"""A JWT is made for an hour by our clock; a minute off may already be refused as not yet valid."""


def look(settings: PushKitSettings) -> Verdict:
    """One GET without a key: nothing is asked of Push Kit."""
    return judged(settings.url, asyncio.run(_knocked(settings)), settings.proxy)


async def _knocked(settings: PushKitSettings) -> Answered | str:
    push_kit = PushKit(settings.url, min(settings.timeout_s, WITHIN_S), 1, proxy=proxy_of(settings))
    try:
        return await push_kit.knock()
    finally:
        await push_kit.close()


def judged(url: str, answered: Answered | str, proxy: str | None = None) -> Verdict:
    """What the answer is worth."""
    way = f"{url} through push_kit.proxy {proxy}" if proxy else url
    if isinstance(answered, str):
        return Verdict(ABOUT, Standing.BAD, f"push_kit.url {way} does not answer: {answered}", _cure(answered, proxy))
    if answered.skew_s is not None and abs(answered.skew_s) > SKEW_S:
        found = f"the gateway's clock and ours are {abs(answered.skew_s):.0f} s apart: it may refuse our JWTs"
        return Verdict(ABOUT, Standing.WARNING, found, "set this machine's clock (NTP)")
    if answered.http_status >= 500:
        found = f"push_kit.url {way} answers HTTP {answered.http_status} when nothing is asked"
        return Verdict(ABOUT, Standing.WARNING, found, "if that lasts, ask who runs it, or the proxy between")
    return Verdict(ABOUT, Standing.GOOD, f"{way} answers within {1000 * answered.took_s:.0f} ms")


def _cure(trouble: str, proxy: str | None) -> str:
    if str(WANTS_CREDENTIALS.value) in trouble:
        return "set UNPUSH__PUSH_KIT__PROXY_USER and UNPUSH__PUSH_KIT__PROXY_PASSWORD to what the proxy takes"
    if trouble.startswith("proxy") or (proxy and trouble.startswith("DNS")):
        return "is push_kit.proxy right, and does it let this machine through to push_kit.url?"
    if trouble.startswith("TLS"):
        return next((cure for word, cure in _TLS_CURES.items() if word in trouble), "right address, and https?")
    return "is push_kit.url right, and does a firewall let this machine out to it? Behind a proxy set push_kit.proxy"
