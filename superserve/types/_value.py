"""What all values that people receive can do."""

from typing import Any

import attrs


# What comes by the thousand has no slots: attrs fills those of frozen classes through object.__setattr__, and that
# takes twice as long.
@attrs.frozen(slots=False)
class Value:
    """A frozen value, equal to others with the same content."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dict of its fields, with the types that they have here."""
        return attrs.asdict(self)
