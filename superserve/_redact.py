"""Making texts safe to show: without secrets, and without escape sequences that a terminal would obey."""

import re
from collections import deque
from typing import Final

HIDDEN: Final = "***"

_LONGEST_QUOTE: Final = 500
_MOST_LEARNED: Final = 256
# ECMA-48: control strings up to their terminator (or the end of the text), control sequences, and all other escapes.
_ESCAPE: Final = re.compile(
    r"(?:\x1b[PX^_\]]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Half of a surrogate pair: JSON can contain one, but no file or terminal can.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """Return a text without escape sequences and control characters. Tabs and line feeds stay."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


def replace_surrogates(text: str) -> str:
    """Return a text without halves of surrogate pairs, so that it can be encoded."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _make_printable(text: str) -> str:
    # This also removes characters that are invisible or reverse the direction of the text.
    text = text if text.isprintable() else _ESCAPE.sub("", text)
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def _forms(secret: str) -> list[str]:
    return list(dict.fromkeys((secret, repr(secret)[1:-1], repr(bytearray(secret.encode()))[12:-2])))


class Redactor:
    """Removes secrets from texts: as they are, and in the form of Python's repr, which some libraries use in messages."""

    def __init__(self, *secrets: str) -> None:
        self._own = tuple(form for secret in secrets for form in _forms(secret))
        self._learned: deque[str] = deque(maxlen=_MOST_LEARNED)

    def learn(self, *secrets: str) -> None:
        """Remove these secrets too from now on. The newest few hundred of them are remembered."""
        for secret in secrets:
            self._learned.extend(form for form in _forms(secret) if form not in self._learned)

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        for form in (*self._own, *self._learned):
            text = text.replace(form, HIDDEN)
        return text

    def hide_in_name(self, name: str) -> str:
        """Return a header's name without the secrets. httpx writes names in lower case."""
        for form in (*self._own, *self._learned):
            name = name.replace(form.lower(), HIDDEN)
        return name

    def show(self, text: str) -> str:
        """Return a text of the server for people: without secrets and escape sequences. Line feeds stay."""
        return "\n".join(_make_printable(line) for line in self.hide(text).split("\n"))

    def quote(self, text: str) -> str | None:
        """Return a text of the server for people: also on one line and shortened. None if nothing is left of it."""
        words = " ".join(_make_printable(self.hide(text)).split())
        return (words if len(words) <= _LONGEST_QUOTE else f"{words[: _LONGEST_QUOTE - 1]}…") or None
