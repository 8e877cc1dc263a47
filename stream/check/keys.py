"""Key files, and who calls with which."""

from __future__ import annotations

import stat
from pathlib import Path

from stream.model import Standing, StartError, Verdict
from stream.pushkit.key import ENOUGH_BITS, ServiceKey, load_key
from stream.settings import PushKitSettings

ABOUT = "key files"


def named(settings: PushKitSettings) -> dict[Path, str]:
    """Every key file that the settings name, and one setting that names it."""
    own = {each.key_file: f'push_kit.apps."{app}".key_file' for app, each in settings.apps.items() if each.key_file}
    return own | ({settings.key_file: "push_kit.key_file"} if settings.key_file is not None else {})


def look(settings: PushKitSettings) -> list[Verdict]:
    """One row a file, or one for each doubt about it; and one for what has no key."""
    files = [verdict for path, name in sorted(named(settings).items()) for verdict in _file(path, name)]
    return [*files, *keyless(settings)]


def _file(path: Path, name: str) -> list[Verdict]:
    try:
        key = load_key(path)
        mode = path.stat().st_mode
    except (StartError, OSError) as error:
        return [
            Verdict(
                ABOUT, Standing.BAD, f'{name} = "{path}": {error}', "put the service account key there, as downloaded"
            )
        ]
    return _doubts(path, key, mode) or [
        Verdict(ABOUT, Standing.GOOD, f"{path}: {key}; whether Push Kit knows it, the first call tells")
    ]


def _doubts(path: Path, key: ServiceKey, mode: int) -> list[Verdict]:
    found = []
    if mode & stat.S_IROTH:
        found.append(_warning(f"{path} may be read by every user of this machine", f"chmod 600 {path}"))
    if (bits := key.private_key.key_size) < ENOUGH_BITS:
        found.append(
            _warning(f"{path}: {key} has {bits} bits; PS256 wants {ENOUGH_BITS:,} or more", "have a new key made")
        )
    return found


def keyless(settings: PushKitSettings) -> list[Verdict]:
    """What would wait for want of a key, or because the settings hold it."""
    without = [app for app in settings.apps if settings.app(app).key_file is None]
    paused = [app for app in settings.apps if settings.app(app).paused and not settings.paused]
    found = []
    if without:
        found.append(_warning(f"no key for {', '.join(without)}", "set its key_file, or push_kit.key_file"))
    elif not named(settings):
        found.append(_warning("no key file is named: no app can call", "set push_kit.key_file, or that of each app"))
    if settings.paused:
        found.append(_warning("push_kit.paused = true: no app calls", "set it to false"))
    if paused:
        found.append(_warning(f"paused: {', '.join(paused)}", "set paused = false there"))
    return found


def _warning(found: str, todo: str) -> Verdict:
    return Verdict(ABOUT, Standing.WARNING, found, todo)
