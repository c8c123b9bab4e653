"""What all values can do."""

from typing import Any

import attrs


# What comes by the thousand has no slots: attrs fills those of frozen classes through object.__setattr__, and that
# takes twice as long.
@attrs.frozen(slots=False)
class Value:
    """A frozen value, equal to others with the same content; it can be copied and pickled."""

    def to_dict(self) -> dict[str, Any]:
        """Return its fields as a dict, those of values in it too; times stay datetimes, statuses enums of strings."""
        return attrs.asdict(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        # So that pydantic takes it as it is, and FastAPI a function that is annotated with it.
        to_dict = {"type": "function-plain", "function": cls.to_dict, "return_schema": {"type": "dict"}}
        return {"type": "is-instance", "cls": cls, "serialization": to_dict}
