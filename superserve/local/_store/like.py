"""SQL's LIKE, which the server uses to search for names."""

import re
from collections.abc import Callable


def starts_like(prefix: str) -> Callable[[str], bool]:
    r"""Return SQL's `LIKE prefix || '%'`, unescaped as on the server: `_` and `%` are wildcards, `\` escapes."""
    if not any(character in prefix for character in "_%\\"):
        return lambda name: name.startswith(prefix)
    parts: list[str] = []
    characters = iter(prefix + "%")
    for character in characters:
        if character == "\\":
            parts.append(re.escape(next(characters, "")))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    pattern = re.compile("".join(parts), re.DOTALL)
    return lambda name: pattern.fullmatch(name) is not None
