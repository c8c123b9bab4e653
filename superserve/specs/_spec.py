"""A template's spec: all arguments of `Template.create` in one immutable value."""

import copy
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import attrs

from superserve import _arguments
from superserve.errors import ValidationError
from superserve.specs import _canonical
from superserve.specs._places import Place, caller
from superserve.types import (
    BuildStep,
    EnvStep,
    EnvStepValue,
    RunStep,
    UserStep,
    UserStepValue,
    WorkdirStep,
)
from superserve.types._value import Value

if TYPE_CHECKING:
    from superserve.specs._problems import SpecProblem

TypedStep = RunStep | EnvStep | WorkdirStep | UserStep


def _typed(step: object) -> object:
    """Return a well-formed step as a typed one. Anything else is kept, and `check` reports it."""
    if not isinstance(step, Mapping):
        return step
    fields = _as_read(step)
    typed: object = None
    if len(fields) == 1:
        [(key, value)] = fields.items()
        match key, value:
            case "run", str():
                typed = RunStep(value)
            case "workdir", str():
                typed = WorkdirStep(value)
            case "env", EnvStepValue():
                typed = EnvStep(value)
            case "env", Mapping():
                typed = _variable({"key": "", "value": "", **_as_read(value)})
            case "user", UserStepValue():
                typed = UserStep(value)
            case "user", Mapping():
                typed = _user({"name": "", "sudo": False, **_as_read(value)})
    return typed or copy.deepcopy(fields)


def _as_read(fields: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return fields as the server reads them: null means absent, and the case of keys is ignored."""
    return {
        key.lower() if isinstance(key, str) else key: item for key, item in fields.items() if item is not None
    }


def _variable(fields: dict[Any, Any]) -> EnvStep | None:
    match fields:
        case {"key": str() as key, "value": str() as value, **rest} if not rest:
            return EnvStep(EnvStepValue(key, value))
    return None


def _user(fields: dict[Any, Any]) -> UserStep | None:
    match fields:
        case {"name": str() as name, "sudo": bool() as sudo, **rest} if not rest:
            return UserStep(UserStepValue(name, sudo))
    return None


def _steps(value: object) -> tuple[Any, ...]:
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return (value,)
    return tuple(_typed(step) for step in value)


def _command(value: object) -> Any:
    # The server treats an empty command as none.
    return None if value == "" else value


@attrs.frozen(slots=False, kw_only=True)
class TemplateSpec(Value):
    """All arguments of `Template.create` in one immutable value. Specs with the same content are equal.

    Every method returns a new spec and leaves this one unchanged. A spec may have errors: `check` returns all of them, with
    the places where they were written. `Template.create(spec=...)` sends nothing while there are errors.

    Example:
        >>> base = TemplateSpec(name="web", from_="python:3.11").apt_install("curl").workdir("/app")
        >>> spec = base.pip_install("flask").env(DEBUG="1").start("flask run", ready=ready.port(5000))
        >>> len(base.steps), len(spec.steps)
        (2, 4)
        >>> template = await AsyncTemplate.create(spec=spec)
        >>> print(template.name)
        web
    """

    name: str
    """Unique in the team."""
    from_: str
    """The OCI image to start from."""
    vcpu: int | None = None
    memory_mib: int | None = None
    disk_mib: int | None = None
    steps: tuple[BuildStep, ...] = attrs.field(default=(), converter=_steps)
    """In order. Dicts become typed steps. Anything that is not a step is kept, and `check` reports it."""
    start_cmd: str | None = attrs.field(default=None, converter=_command)
    ready_cmd: str | None = attrs.field(default=None, converter=_command)
    _places: Mapping[str, Place] = attrs.field(factory=dict, alias="places", eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self._places:
            place = caller()
            object.__setattr__(self, "_places", {"": place} if place else {})

    # Making specs

    def run(self, *commands: str) -> Self:
        """Add a `run` step for each command. The build fails if an exit code is not 0."""
        return self._add(*(RunStep(command) for command in commands))

    def env(self, variables: Mapping[str, str] | None = None, /, **more: str) -> Self:
        """Add an `env` step for each variable: `env(DEBUG="1")`, `env({"a.b": "1"})`."""
        if not isinstance(variables, Mapping | None):
            raise ValidationError(f"variables: expected a dict of strings, got {type(variables).__name__}")
        given = {**(variables or {}), **more}
        return self._add(*(EnvStep(EnvStepValue(key, value)) for key, value in given.items()))

    def workdir(self, path: str) -> Self:
        """Add a step that creates a folder and makes it the working directory of the following steps."""
        return self._add(WorkdirStep(path))

    def user(self, name: str, *, sudo: bool = False) -> Self:
        """Add a step that creates a user if necessary, and runs the following steps as that user."""
        return self._add(UserStep(UserStepValue(name, sudo)))

    def pip_install(self, *requirements: str) -> Self:
        """Add a `run` step that installs Python packages, such as `pip_install("numpy", "flask>=3")`."""
        return self._add(RunStep(f"pip install --no-cache-dir {_words('requirements', requirements)}"))

    def apt_install(self, *packages: str) -> Self:
        """Add a `run` step that installs Debian packages, without recommended ones, and removes the package lists."""
        return self._add(
            RunStep(
                "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
                f"{_words('packages', packages)} && rm -rf /var/lib/apt/lists/*"
            )
        )

    def start(self, command: str, *, ready: str | None = None) -> Self:
        """Set the process that keeps running in the template.

        Args:
            command: The process.
            ready: A command that succeeds once the process is ready, tried every 2 s. `superserve.specs.ready` has some.
        """
        return self._with(("start_cmd", "ready_cmd"), start_cmd=command, ready_cmd=ready)

    def resources(
        self, *, vcpu: int | None = None, memory_mib: int | None = None, disk_mib: int | None = None
    ) -> Self:
        """Set virtual CPUs, memory and disk (in MiB). Omitted arguments stay unchanged."""
        given = {"vcpu": vcpu, "memory_mib": memory_mib, "disk_mib": disk_mib}
        changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        return self._with(tuple(changes), **changes)

    def renamed(self, name: str) -> Self:
        """Return the same spec under another name."""
        return self._with(("name",), name=name)

    def _add(self, *steps: TypedStep) -> Self:
        first = len(self.steps)
        keys = tuple(f"steps[{first + index}]" for index in range(len(steps)))
        return self._with(keys, steps=(*self.steps, *steps))

    def _with(self, keys: tuple[str, ...], **changes: Any) -> Self:
        place = caller()
        places = {**self._places, **dict.fromkeys(keys, place)} if place else self._places
        return attrs.evolve(self, places=places, **changes)

    # Reading specs

    def place_of(self, where: str) -> Place | None:
        """Return where a part was written: `steps[2].env`, `from`, or an empty string for the spec itself."""
        where = _arguments.text("where", where, may_be_empty=True)
        while where and where not in self._places:
            cut = max(where.rfind("."), where.rfind("["))
            where = where[:cut] if cut > 0 else ""
        return self._places.get(where)

    def check(self) -> "list[SpecProblem]":
        """Return all errors and warnings, in the order of the spec's parts; an empty list if there are none.

        The service would refuse errors; the rest are warnings. Nothing is sent.
        """
        from superserve.specs._check import check

        return check(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the given values as a dict of `Template.create`'s arguments, with steps as plain dicts."""
        fields = self._fields()
        return {("from_" if key == "from" else key): value for key, value in fields.items()}

    def to_api(self) -> dict[str, Any]:
        """Return the body of `POST /templates`."""
        sizes = {"vcpu": self.vcpu, "memory_mib": self.memory_mib, "disk_mib": self.disk_mib}
        given = {key: value for key, value in sizes.items() if value is not None}
        return {"name": self.name, "build_spec": self._build_spec(), **given}

    @property
    def build_spec_hash(self) -> str:
        """The hash that the service gives to builds of this spec (SHA-256). Name and resources are not part of it."""
        return hashlib.sha256(_canonical.canonical(self._build_spec())).hexdigest()

    @property
    def has_sure_hash(self) -> bool:
        """Whether every version of the service makes the same hash. Not for specs with backspaces and form feeds."""
        return _canonical.is_sure(self._build_spec())

    @property
    def size_bytes(self) -> int:
        """Size in bytes of the spec as the service passes it to a build. More than 131,071 cannot be built."""
        return len(_canonical.canonical(self._build_spec()))

    def _build_spec(self) -> dict[str, Any]:
        fields = self._fields()
        return {key: fields[key] for key in ("from", "steps", "start_cmd", "ready_cmd") if key in fields}

    def _fields(self) -> dict[str, Any]:
        """Return the given values under the API's names, in the order of files."""
        fields = {
            "name": self.name,
            "from": self.from_,
            "vcpu": self.vcpu,
            "memory_mib": self.memory_mib,
            "disk_mib": self.disk_mib,
            "steps": [_plain(step) for step in self.steps] or None,
            "start_cmd": self.start_cmd,
            "ready_cmd": self.ready_cmd,
        }
        return {key: value for key, value in fields.items() if value is not None}

    # Files

    @classmethod
    def load(cls, path: str | PathLike[str], *, name: str | None = None) -> "TemplateSpec":
        """Read a spec from a file: `.toml`, `.json`, `.yaml` (extra `yaml`) or a Dockerfile (extra `dockerfile`).

        Args:
            path: The file.
            name: The template to read, if the file has several; for a Dockerfile its name. Default: the folder's name.

        Raises:
            SpecError: The file cannot be read, is malformed, or has unknown keys: all problems at once.
            ValidationError: An argument has the wrong type.
        """
        from superserve.specs._files import load

        return load(path, name=name)

    def to_toml(self) -> str:
        """Return the spec as a table of a `superserve.toml`."""
        from superserve.specs._files import write_toml

        return write_toml(self)

    def to_json(self) -> str:
        """Return the spec as JSON, the body of `POST /templates`."""
        from superserve.specs._files import write_json

        return write_json(self)

    def to_yaml(self) -> str:
        """Return the spec as YAML, the body of `POST /templates`; needs PyYAML."""
        from superserve.specs._files import write_yaml

        return write_yaml(self)


def _words(argument: str, words: tuple[str, ...]) -> str:
    if not words:
        raise ValidationError(f"{argument}: expected at least one")
    return shlex.join(_arguments.text(f"{argument}[{index}]", word) for index, word in enumerate(words))


def _plain(step: Any) -> Any:
    match step:
        case UserStep(user=UserStepValue(name=name, sudo=False)):
            return {"user": {"name": name}}
        case Value():
            return step.to_dict()
    return copy.deepcopy(step)
