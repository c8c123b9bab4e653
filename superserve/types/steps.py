"""The steps of a build: typed, or as plain dicts."""

from typing import Required, TypedDict

import attrs

from superserve.types._value import Value


@attrs.frozen(slots=False)
class RunStep(Value):
    """Run a shell command. The build fails if the exit code is not 0."""

    run: str


@attrs.frozen(slots=False)
class EnvStepValue(Value):
    """An environment variable. The key has neither `=` nor spaces; the value may be empty."""

    key: str
    value: str


@attrs.frozen(slots=False)
class EnvStep(Value):
    """Set an environment variable for the following steps and for the template."""

    env: EnvStepValue


@attrs.frozen(slots=False)
class WorkdirStep(Value):
    """Create a folder, and make it the working directory of the following steps."""

    workdir: str


@attrs.frozen(slots=False)
class UserStepValue(Value):
    """A user of the template. The name has at most 31 of `a-z`, `0-9`, `_` and `-`, and starts with a letter or `_`."""

    name: str
    sudo: bool = False
    """Whether the user may use `sudo`."""


@attrs.frozen(slots=False)
class UserStep(Value):
    """Create a user if necessary, and run the following steps as that user."""

    user: UserStepValue


class RunStepDict(TypedDict):
    """`{"run": "pip install numpy"}`."""

    run: str


class EnvStepValueDict(TypedDict):
    """`{"key": "DEBUG", "value": "1"}`."""

    key: str
    value: str


class EnvStepDict(TypedDict):
    """`{"env": {"key": "DEBUG", "value": "1"}}`."""

    env: EnvStepValueDict | EnvStepValue


class WorkdirStepDict(TypedDict):
    """`{"workdir": "/app"}`."""

    workdir: str


class UserStepValueDict(TypedDict, total=False):
    """`{"name": "app", "sudo": True}`."""

    name: Required[str]
    sudo: bool


class UserStepDict(TypedDict):
    """`{"user": {"name": "app"}}`."""

    user: UserStepValueDict | UserStepValue


BuildStep = (
    RunStep | EnvStep | WorkdirStep | UserStep | RunStepDict | EnvStepDict | WorkdirStepDict | UserStepDict
)
"""A step, typed or as a plain dict. Annotate a variable that holds several kinds: `steps: list[BuildStep] = [...]`."""
