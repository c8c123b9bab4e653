"""Ids of sandboxes. They have two forms."""

import re

# The prefix of newer ids. The region in it is ignored.
_TAG = r"sb-[a-z0-9]+-(?=.{36}$)"


def drop_region(text: str) -> str:
    """Return an id in the form of rows. A text that is not an id is returned unchanged."""
    return re.sub(_TAG, "", text)
