"""Specs in files: `superserve.toml`, and the body of `POST /templates` as JSON or YAML."""

import json
import re
import tomllib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

from superserve import _arguments
from superserve.errors import SpecError, ValidationError
from superserve.specs import _locate
from superserve.specs._check import did_you_mean, kind
from superserve.specs._places import Place
from superserve.specs._problems import SpecProblem
from superserve.specs._spec import TemplateSpec

LARGEST_FILE: Final = 4 * 2**20
"""The largest file in bytes. The largest spec that can be built has 131,071."""

_KEYS: Final = ("from", "vcpu", "memory_mib", "disk_mib", "steps", "start_cmd", "ready_cmd")
_BODY_KEYS: Final = ("name", "build_spec", *_KEYS)
_SPEC_KEYS: Final = ("from", "steps", "start_cmd", "ready_cmd")

_MOST_PARTS: Final = 100_000
# A key that TOML accepts without quotes.
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")

Spots = Mapping[_locate.Path, _locate.Spot]


def load(path: str | PathLike[str], *, name: str | None = None) -> TemplateSpec:
    """Return one spec from a file; see `TemplateSpec.load`."""
    _arguments.optional(_arguments.text, "name", name)
    if is_dockerfile(local_path(path)):
        from superserve.specs import dockerfile

        return dockerfile.load(path, name=name)
    specs = load_all(path)
    if name is None and len(specs) == 1:
        [spec] = specs.values()
        return spec
    if name is None:
        raise _refusal(path, f"has several templates: choose one of {', '.join(map(repr, specs))}")
    if name not in specs:
        raise _refusal(path, f"has no template {name[:80]!r}{did_you_mean(name, tuple(specs))}")
    return specs[name]


def load_all(path: str | PathLike[str], *more: str | PathLike[str]) -> dict[str, TemplateSpec]:
    """Return all specs of a `superserve.toml`, or the one of a JSON, YAML or Dockerfile, by their names.

    Args:
        path: The file.
        more: More files; no two may have a template of the same name.

    Raises:
        SpecError: A file cannot be read, is malformed, or has unknown keys, or two have the same template: all of it at
            once, and then also what `check` would refuse.
    """
    found: dict[str, TemplateSpec] = {}
    problems: list[SpecProblem] = []
    for each in (path, *more):
        local_path(each)
    for one in dict.fromkeys(map(str, (path, *more))):
        try:
            specs = _load_all(one)
        except SpecError as error:
            if not error.problems:
                raise
            problems += error.problems
            continue
        for name, spec in specs.items():
            first = found.setdefault(name, spec)
            if first is not spec:
                message = f"the template {name!r} is in {_first_place(first)} too: name one of the files, or rename one"
                problems.append(SpecProblem(message, place=_first_place(spec)))
    if problems:
        raise SpecError.of(problems)
    return found


def _first_place(spec: TemplateSpec) -> Place | None:
    return spec.place_of("") or spec.place_of("from")


def _load_all(path: str) -> dict[str, TemplateSpec]:
    if is_dockerfile(Path(path)):
        spec = load(path)
        return {spec.name: spec}
    text = read(path)
    suffix = Path(path).suffix.lower()
    file = str(path)
    problems: list[SpecProblem] = []
    if suffix == ".toml":
        tables, spots = _read_toml(text, file)
        found = _templates(tables, spots, file, problems)
    elif suffix in {".json", ".yaml", ".yml"}:
        document, spots = (_read_json if suffix == ".json" else _read_yaml)(text, file)
        found = _body(document, spots, file, problems)
    else:
        raise _refusal(path, "is not a spec: expected .toml, .json, .yaml or a Dockerfile")
    if problems:
        errors = [
            problem for spec in found.values() for problem in spec.check() if problem.severity == "error"
        ]
        raise SpecError.of(sorted([*problems, *errors], key=_position))
    return found


def is_dockerfile(path: Path) -> bool:
    """Whether a file is a Dockerfile, by its name."""
    name = path.name.lower()
    return name.startswith(("dockerfile", "containerfile")) or name.endswith(".dockerfile")


def local_path(path: str | PathLike[str]) -> Path:
    """Return a path on this machine."""
    try:
        return Path(path)
    except TypeError:
        raise ValidationError(f"path: expected a path, got {type(path).__name__}") from None


def read(path: str | PathLike[str]) -> str:
    """Return the text of a file; raise if there is none."""
    file = local_path(path)
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
    except IsADirectoryError:
        raise _refusal(path, "is a folder: name a file") from None
    except FileNotFoundError:
        raise _refusal(path, "does not exist; `superserve template init` writes one") from None
    except (OSError, ValueError) as error:
        raise _refusal(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > LARGEST_FILE:
        raise _refusal(path, f"is larger than {LARGEST_FILE // 2**20} MiB, too large for a spec")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(path, "is not UTF-8", line=data.count(b"\n", 0, error.start) + 1) from None
    if not text.strip():
        raise _refusal(path, "is empty")
    return text.replace("\r\n", "\n")


def _refusal(
    path: str | PathLike[str], message: str, *, line: int | None = None, column: int | None = None
) -> SpecError:
    place = Place(str(path), line, column)
    return SpecError.of([SpecProblem(message if line else f"the file {message}", place=place)])


def _position(problem: SpecProblem) -> tuple[int, int]:
    place = problem.place
    return (place.line or 0, place.column or 0) if place else (0, 0)


# Reading documents


def _read_toml(text: str, file: str) -> tuple[object, Spots]:
    try:
        return tomllib.loads(text), _locate.toml(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rpartition(" (at ")
        numbers = [int(word.strip("),")) for word in place.split() if word.strip("),").isdigit()]
        line, column = numbers if len(numbers) == 2 else (text.count("\n") + 1, None)  # noqa: PLR2004
        raise _refusal(file, f"is not TOML: {message or error}", line=line, column=column) from None
    except RecursionError:
        raise _refusal(file, "is nested too deeply") from None


def _read_json(text: str, file: str) -> tuple[object, Spots]:
    try:
        document = json.loads(text)
        key = _locate.doubled(text)
        if key is not None:
            raise _refusal(file, f"has the key {key[:40]!r} twice in the same object")
        return document, _locate.from_json(text)
    except json.JSONDecodeError as error:
        raise _refusal(file, f"is not JSON: {error.msg}", line=error.lineno, column=error.colno) from None
    except (RecursionError, ValueError) as error:
        raise _refusal(file, f"is not JSON: {error or 'nested too deeply'}") from None


def _read_yaml(text: str, file: str) -> tuple[object, Spots]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise _refusal(file, "needs PyYAML: pip install 'superserve-client[yaml]'") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        spots: dict[_locate.Path, _locate.Spot] = {}
        twice = None if node is None else _walk(node, (), spots, yaml)
        if twice is not None:
            mark = twice.start_mark
            raise _refusal(
                file, f"has the key {twice.value[:40]!r} twice", line=mark.line + 1, column=mark.column + 1
            )
        return yaml.safe_load(text), spots
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be read"
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise _refusal(file, f"is not YAML: {problem}", line=line, column=column) from None
    except (RecursionError, ValueError) as error:
        raise _refusal(file, f"is not YAML: {error or 'nested too deeply'}") from None


def _walk(node: Any, path: _locate.Path, spots: dict[_locate.Path, _locate.Spot], yaml: Any) -> Any:
    """Note the places of a YAML document's values. Return the node of a key that occurs twice, or None."""
    if len(spots) > _MOST_PARTS:
        # A few lines with aliases of aliases can expand to more than fits into memory.
        raise ValueError("with its aliases expanded, it has more parts than any spec")
    spots.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    twice = None
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            if inner in spots:
                return key
            spots[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
            twice = twice or _walk(value, inner, spots, yaml)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            twice = twice or _walk(value, (*path, index), spots, yaml)
    return twice


# Making specs


def _templates(
    document: object, spots: Spots, file: str, problems: list[SpecProblem]
) -> dict[str, TemplateSpec]:
    tables = document if isinstance(document, dict) else {}
    for key in tables:
        if key not in ("templates", "$schema"):
            question = did_you_mean(key, ("templates",))
            problems.append(_problem(f"unknown key {key[:40]!r}{question}", key, (key,), spots, file))
    templates = tables.get("templates")
    if not isinstance(templates, dict) or not templates:
        if not problems:
            problems.append(_problem("has no template: add a table [templates.NAME]", "", (), spots, file))
        return {}
    found = {}
    for name, table in templates.items():
        root = ("templates", name)
        if not isinstance(table, dict):
            message = f"expected a table [templates.{name[:40]}], got {kind(table)}"
            problems.append(_problem(message, f"templates.{name[:40]}", root, spots, file))
            continue
        found[name] = _spec({**table, "name": name}, table, root, spots, file, problems=problems, known=_KEYS)
    return found


def _body(document: object, spots: Spots, file: str, problems: list[SpecProblem]) -> dict[str, TemplateSpec]:
    if not isinstance(document, dict):
        raise _refusal(file, f"contains {kind(document)}: expected the body of POST /templates")
    body = {key: value for key, value in document.items() if key != "$schema"}
    inner = body.get("build_spec", {})
    flat = {key: value for key, value in body.items() if key != "build_spec"}
    if not isinstance(inner, dict):
        message = f"expected a table, got {kind(inner)}"
        problems.append(_problem(message, "build_spec", ("build_spec",), spots, file))
        inner = {}
    for key in inner:
        if key not in _SPEC_KEYS:
            message = f"unknown key {str(key)[:40]!r}{did_you_mean(key, _SPEC_KEYS)}"
            problems.append(_problem(message, f"build_spec.{key}", ("build_spec", str(key)), spots, file))
    moved = {("build_spec", *path[1:]): spot for path, spot in spots.items() if path[:1] == ("build_spec",)}
    spots = {**spots, **{path[1:]: spot for path, spot in moved.items() if path[1:]}}
    fields = {**flat, **{key: value for key, value in inner.items() if key in _SPEC_KEYS}}
    spec = _spec(fields, flat, (), spots, file, problems=problems, known=_BODY_KEYS)
    return {spec.name if isinstance(spec.name, str) else "": spec}


def _spec(
    fields: dict[str, Any],
    table: Mapping[str, Any],
    root: _locate.Path,
    spots: Spots,
    file: str,
    *,
    problems: list[SpecProblem],
    known: tuple[str, ...],
) -> TemplateSpec:
    for key in table:
        if key not in known:
            message = f"unknown key {str(key)[:40]!r}{did_you_mean(key, known)}"
            problems.append(_problem(message, _where((*root, str(key))), (*root, str(key)), spots, file))
    if "from" not in fields:
        problems.append(
            _problem("'from' is missing: the image to start from", _where(root), root, spots, file)
        )
    if "name" not in fields:
        problems.append(_problem("'name' is missing", _where(root), root, spots, file))
    steps = fields.get("steps")
    if steps is not None and not isinstance(steps, list):
        message = f"expected a list of steps, got {kind(steps)}"
        problems.append(_problem(message, _where((*root, "steps")), (*root, "steps"), spots, file))
        fields = {**fields, "steps": None}
    depth = len(root)
    places = {
        _where(path[depth:]): Place(file, *spot) for path, spot in spots.items() if path[:depth] == root
    }
    values = {key: fields[key] for key in _KEYS if key in fields and key != "from"}
    return TemplateSpec(
        name=fields.get("name", "missing"), from_=fields.get("from", "missing"), places=places, **values
    )


def _where(path: _locate.Path) -> str:
    where = ""
    for part in path:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else part
    return where


def _problem(message: str, where: str, path: _locate.Path, spots: Spots, file: str) -> SpecProblem:
    while path and path not in spots:
        path = path[:-1]
    spot = spots.get(path)
    return SpecProblem(message, where=where, place=Place(file, *spot) if spot else Place(file))


# Writing


def write_toml(spec: TemplateSpec) -> str:
    """Return a table of a `superserve.toml`."""
    fields = spec._fields()
    name = fields.pop("name")
    lines = [f"[templates.{name if _BARE.fullmatch(name) else _toml(name)}]"]
    for key, value in fields.items():
        if key == "steps":
            lines += ["steps = [", *(f"  {_toml(step)}," for step in value), "]"]
        else:
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    # JSON's strings, numbers and booleans are valid TOML, except for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_json(spec: TemplateSpec) -> str:
    """Return the body of `POST /templates`."""
    return json.dumps(spec.to_api(), ensure_ascii=False, indent=2) + "\n"


def write_yaml(spec: TemplateSpec) -> str:
    """Return the body of `POST /templates` as YAML."""
    try:
        import yaml
    except ModuleNotFoundError:
        raise SpecError("writing YAML needs PyYAML: pip install 'superserve-client[yaml]'") from None
    text: str = yaml.safe_dump(spec.to_api(), sort_keys=False, allow_unicode=True)
    return text
