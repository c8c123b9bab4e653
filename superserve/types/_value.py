"""The base class of all values."""

from typing import Any

import attrs


# No slots: attrs fills the slots of a frozen class through object.__setattr__, which takes twice as long, and there may
# be thousands of instances.
@attrs.frozen(slots=False)
class Value:
    """A frozen value. Values with the same content are equal; values can be copied and pickled."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict, including those of nested values. Times stay datetimes, statuses string enums."""
        return attrs.asdict(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        # pydantic accepts instances as they are, and FastAPI functions can be annotated with the class.
        to_dict = {"type": "function-plain", "function": cls.to_dict, "return_schema": {"type": "dict"}}
        return {"type": "is-instance", "cls": cls, "serialization": to_dict}
