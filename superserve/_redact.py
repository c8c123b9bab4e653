"""What of a text may be shown: without secrets, and without what a terminal would obey."""

import re
from typing import Final

HIDDEN: Final = "***"

_LONGEST_QUOTE: Final = 500
# ECMA-48: control strings up to their terminator (or the end of the text), control sequences, and all other escapes.
_ESCAPE: Final = re.compile(
    r"(?:\x1b[PX^_\]]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Half of a surrogate pair, which JSON can hold, and no file or terminal can.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """Return a text without escape sequences and control characters; tabs and line feeds stay."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


def replace_surrogates(text: str) -> str:
    """Return a text that can be encoded."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _make_printable(text: str) -> str:
    # Also what would turn the order of other characters round, or is invisible.
    text = text if text.isprintable() else _ESCAPE.sub("", text)
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


class Redactor:
    """Takes secrets out of texts: as they are, and as Python's repr writes them, in which some libraries quote."""

    def __init__(self, *secrets: str) -> None:
        self._forms = tuple(
            form
            for secret in secrets
            for form in dict.fromkeys((secret, repr(secret)[1:-1], repr(bytearray(secret.encode()))[12:-2]))
        )

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def hide_in_name(self, name: str) -> str:
        """Return the name of a header without the secrets: httpx writes those in lower case."""
        for form in self._forms:
            name = name.replace(form.lower(), HIDDEN)
        return name

    def show(self, text: str) -> str:
        """Return lines of the server's for people: without secrets, and without what a terminal would obey."""
        return "\n".join(_make_printable(line) for line in self.hide(text).split("\n"))

    def quote(self, text: str) -> str | None:
        """Return the server's own words for people, on one line and not too long; None if nothing is left of them."""
        words = " ".join(_make_printable(self.hide(text)).split())
        return (words if len(words) <= _LONGEST_QUOTE else f"{words[: _LONGEST_QUOTE - 1]}…") or None
