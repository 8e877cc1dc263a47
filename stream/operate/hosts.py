"""By which names it may be asked where no token is wanted.

Promised: a page of another site cannot read an interface that listens on loopback only, also not where its name is made
to point here after it was loaded (DNS rebinding): the browser then still names that site as the host that it asks.
Not promised: anything against a program on this machine, which may name whatever it likes.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from stream.settings import Address, HttpSettings


class Hosts:
    """The names of a listener without a token: this machine's own, and what ``[http]`` calls it."""

    def __init__(self, settings: HttpSettings) -> None:
        self._names: set[str | None] = {settings.listen.host.lower()}
        if settings.told is not None:
            self._names.add(_name(urlsplit(settings.told).netloc))

    def ours(self, host: str | None) -> bool:
        """Whether a request with this ``Host`` is for us; each browser sends one, so None is no browser."""
        if host is None:
            return True
        name = _name(host)
        return name is not None and (name in self._names or _of_this_machine(name))


def _name(host: str) -> str | None:
    """Without its port, as names are compared; None: it is no host at all."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name else None


def _of_this_machine(name: str) -> bool:
    """An address of loopback, or a name that browsers never ask a resolver for (RFC 6761, 6.3)."""
    return Address(name, 0).loopback or name.endswith(".localhost")
