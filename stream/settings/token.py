"""The bearer token that guards the HTTP interface, from its file."""

from __future__ import annotations

from pathlib import Path

from stream.settings.secret import Secret
from stream.settings.wrong import Given, wrong


def read_token(path: Path | None) -> Secret | None:
    """The file's text without the blanks around it. Raises SettingsError; the text itself is never shown."""
    if path is None:
        return None
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise _wrong(path, f"the file cannot be read: {error.strerror}") from None
    if not token:
        raise _wrong(path, "the file is empty; write the token into it")
    if not all(0x21 <= byte <= 0x7E for byte in token):
        raise _wrong(path, "the file must hold one word of plain ASCII, the token")
    return Secret(token.decode("ascii"))


def _wrong(path: Path, right: str) -> Exception:
    return wrong(("http", "token_file"), Given(str(path)), right)
