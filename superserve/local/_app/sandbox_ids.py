"""Ids of sandboxes, of which there are two forms."""

import re

# What newer ones have in front; the region is not looked at.
_TAG = re.compile(r"sb-[a-z0-9]+-(?=.{36}$)")


def drop_region(text: str) -> str:
    """Return an id in the form that rows have; what is no id stays as it is."""
    return _TAG.sub("", text)
