"""Write the public surface of superserve into scripts/surface.txt, one line for each name; `--check` only compares."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / "scripts" / "surface.txt"
# `superserve` also has all names of `superserve.errors` and `superserve.types`.
MODULES = (
    "superserve",
    "superserve.specs",
    "superserve.specs.ready",
    "superserve.specs.dockerfile",
    "superserve.local",
    "superserve.pytest_plugin",
)
# Attributes, arguments or bases of public objects that no module exports.
CLASSES = (
    "superserve.types._value.Value",
    *(
        f"superserve.{module}.{prefix}{name}"
        for half, prefix in (("_async", "Async"), ("_sync", ""))
        for module, name in (
            (f"{half}.commands", "Commands"),
            (f"{half}.files", "Files"),
            (f"{half}.sandboxes", "Sandboxes"),
            (f"{half}.templates", "Templates"),
        )
    ),
    "superserve.local._faults.faults.BuildFaults",
    "superserve.local._faults.faults.RequestFaults",
)
NAME = re.compile(r"superserve[\w.]+")
HEADER = "# The public surface. Written by scripts/surface.py: after a change run `nox -s surface`.\n"


def described(name: str, found: griffe.Object) -> Iterator[str]:
    """Yield a line for a public object, and one for each of its public members."""
    if isinstance(found, griffe.Function):
        colour = "async def" if "async" in found.labels else "def"
        yield f"{colour} {name}{found.signature()[len(found.name) :]}"
    elif isinstance(found, griffe.Class):
        bases = ", ".join(str(base) for base in found.bases)
        yield f"class {name}({bases})" if bases else f"class {name}"
        for member, value in found.members.items():
            # The constructor of a class that users do not call is not public: the class docstring has no arguments.
            is_made = member == "__init__" and "Args:" in (found.docstring.value if found.docstring else "")
            if is_made or not member.startswith("_"):
                yield from described(f"{name}.{member}", target(value))
    elif isinstance(found, griffe.Attribute):
        # Keep the value of a default and of an enum member. Any other value is an implementation detail.
        is_default = (
            bool(found.annotation) or isinstance(found.value, str) or isinstance(found.parent, griffe.Module)
        )
        default = f" = {found.value}" if found.value is not None and is_default else ""
        yield f"{name}: {found.annotation}{default}" if found.annotation else f"{name}{default}"


def is_public(name: str, found: griffe.Object | griffe.Alias, module: griffe.Object | griffe.Alias) -> bool:
    """Return whether a module exports a name: it is in `__all__`, imported by the package, or defined in the module."""
    if module.exports is not None:
        return name in module.exports
    if name.startswith(("_", "pytest_")) or name == "TYPE_CHECKING":
        return False
    if isinstance(found, griffe.Alias):
        return module.path == "superserve" and found.target_path.startswith("superserve.")
    return not found.is_module


def target(found: griffe.Object | griffe.Alias) -> griffe.Object:
    """Return the object behind a name."""
    return found.final_target if isinstance(found, griffe.Alias) else found


def surface() -> str:
    """Return the whole surface, in alphabetical order."""
    package = griffe.load("superserve", search_paths=[ROOT, ROOT / "generated"], resolve_aliases=True)
    lines = {line for path in CLASSES for line in described(path, target(package[path.partition(".")[2]]))}
    known: set[str] = set()
    for path in MODULES:
        module = package[path.partition(".")[2]] if "." in path else package
        for name, value in module.members.items():
            # List objects that superserve re-exports from superserve.specs only once.
            if is_public(name, value, module) and target(value).path not in known:
                known.add(target(value).path)
                lines.update(described(f"{path}.{name}", target(value)))
    return HEADER + "".join(f"{line}\n" for line in sorted(lines, key=by_name))


def by_name(line: str) -> tuple[str, str]:
    """Return a sort key that puts the members of a class after it, whatever their kind."""
    return NAME.findall(line)[0], line


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if the file is out of date"
    )
    new, old = surface(), SNAPSHOT.read_text(encoding="utf-8") if SNAPSHOT.exists() else ""
    if not parser.parse_args().check:
        SNAPSHOT.write_text(new, encoding="utf-8")
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(old.splitlines(True), new.splitlines(True), "as committed", "as it is", n=0)
    )
    if new == old:
        return 0
    print("The public surface has changed. Tell users in CHANGELOG.md, and run `nox -s surface`.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
