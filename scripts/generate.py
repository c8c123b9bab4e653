"""Write generated/superserve_api from openapi.yaml; with --check only compare, naming each file that differs.

The generator is openapi-python-client, the formatter ruff, both pinned in noxfile.py. What the generator does badly is
mended in its templates: three short ones are replaced (templates/), the others are patched where they are installed
from, so that everything else in them stays the pinned version's own.
"""

import argparse
import importlib.resources
import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent
HEADER = "# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.\n"


class Patch(NamedTuple):
    """A change to one template: `old` has to be there exactly once."""

    template: str
    old: str
    new: str


PATCHES = [
    # A status that http.HTTPStatus doesn't know (520, from a gateway) is not an error of the reader.
    Patch(
        "endpoint_module.py.jinja",
        "from ...types import Response, UNSET\n",
        "from ...types import Response, UNSET, format_datetime, http_status\n",
    ),
    Patch(
        "endpoint_module.py.jinja",
        "status_code=HTTPStatus(response.status_code),",
        "status_code=http_status(response.status_code),",
    ),
    Patch("types.py.jinja", "    status_code: HTTPStatus\n", "    status_code: HTTPStatus | int\n"),
    # Nor is a body that doesn't fit the status: an HTML page with a documented error, an empty body, a bare string.
    Patch(
        "endpoint_module.py.jinja",
        "parsed=_parse_response(client=client, response=response),",
        "parsed=errors.parsed_or_unexpected(_parse_response, client=client, response=response),",
    ),
    # A null that the contract doesn't foresee: an optional field counts as absent, a required time is None.
    Patch(
        "property_templates/property_macros.py.jinja",
        "if isinstance(_{{ property.python_name }},  Unset):",
        "if _{{ property.python_name }} is None or isinstance(_{{ property.python_name }}, Unset):",
    ),
    Patch(
        "property_templates/list_property.py.jinja",
        "if _{{ property.python_name }} is not UNSET:",
        "if _{{ property.python_name }} is not None and _{{ property.python_name }} is not UNSET:",
    ),
    Patch(
        "property_templates/datetime_property.py.jinja",
        "datetime.datetime.fromisoformat({{ source }})",
        "parse_datetime({{ source }})",
    ),
    Patch(
        "property_templates/datetime_property.py.jinja",
        'source + ".isoformat()"',
        '"format_datetime(" + source + ")"',
    ),
    Patch(
        "model.py.jinja",
        "from ..types import UNSET, Unset\n",
        "from ..types import UNSET, Unset, format_datetime, parse_datetime\n",
    ),
    Patch(
        "types.py.jinja",
        "from http import HTTPStatus\nfrom typing import BinaryIO, Generic, TypeVar, Literal, IO\n",
        "from datetime import datetime\n"
        "from http import HTTPStatus\n"
        "from typing import Any, BinaryIO, Generic, TypeVar, Literal, IO, cast\n",
    ),
    Patch(
        "types.py.jinja",
        "\n\n__all__ = [",
        '''

def http_status(code: int) -> HTTPStatus | int:
    """Return the code as an HTTPStatus, or as it is if it isn't a standard one"""
    try:
        return HTTPStatus(code)
    except ValueError:
        return code


def parse_datetime(value: Any) -> datetime:
    """Parse a time; a null against the contract stays None, as in fields of other types"""
    return cast(datetime, None) if value is None else datetime.fromisoformat(value)


def format_datetime(value: datetime) -> str:
    """Format a time, the opposite of parse_datetime"""
    return cast(str, None) if value is None else value.isoformat()


__all__ = [''',
    ),
    # UNSET is compared by identity, so a copy or a pickle has to bring back the one that there is.
    Patch(
        "types.py.jinja",
        "    def __bool__(self) -> Literal[False]:\n        return False\n",
        """\
    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"
""",
    ),
    # The key goes where this API wants it, and not into a log.
    Patch(
        "client.py.jinja",
        '"token": namespace(type="str", default="",',
        '"token": namespace(type="str", default="field(repr=False)",',
    ),
    Patch("client.py.jinja", "default='\"Bearer\"'", "default='\"\"'"),
    Patch("client.py.jinja", "default='\"Authorization\"'", "default='\"X-API-Key\"'"),
    Patch(
        "client.py.jinja",
        'field(factory=dict, kw_only=True, alias="cookies")',
        'field(factory=dict, kw_only=True, alias="cookies", repr=False)',
    ),
    Patch(
        "client.py.jinja",
        'field(factory=dict, kw_only=True, alias="headers")',
        'field(factory=dict, kw_only=True, alias="headers", repr=False)',
    ),
    Patch(
        "client.py.jinja",
        'field(factory=dict, kw_only=True, alias="httpx_args")',
        'field(factory=dict, kw_only=True, alias="httpx_args", repr=False)',
    ),
    # Every wait ends. Deleting a template takes the server up to 30 s.
    Patch(
        "client.py.jinja",
        'field(default=None, kw_only=True, alias="timeout")',
        'field(factory=lambda: httpx.Timeout(60.0, connect=10.0), kw_only=True, alias="timeout")',
    ),
]


def main() -> None:
    """Generate into a temporary folder, then compare with the output folder or replace it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if something differs"
    )
    parser.add_argument("--spec", type=pathlib.Path, default=HERE.parent / "openapi.yaml")
    parser.add_argument("--output", type=pathlib.Path, default=HERE.parent / "generated" / "superserve_api")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        new = generate(arguments.spec.resolve(), pathlib.Path(scratch))
    old = read_tree(arguments.output)
    if old and HEADER.encode() not in old.get("__init__.py", b""):
        sys.exit(
            f"{arguments.output} holds something that this program didn't write: remove it, or name another folder"
        )
    differences = [
        *(
            f"changed: {arguments.output / name}"
            for name in sorted(new.keys() & old.keys())
            if new[name] != old[name]
        ),
        *(f"missing: {arguments.output / name}" for name in sorted(new.keys() - old.keys())),
        *(f"stale: {arguments.output / name}" for name in sorted(old.keys() - new.keys())),
    ]
    print(*differences, f"{len(differences)} of {len(new)} files differ from {arguments.spec}", sep="\n")
    if arguments.check:
        sys.exit("run `nox -s generate`" if differences else None)
    for name in old.keys() - new.keys():
        (arguments.output / name).unlink()
    for name, content in new.items():
        path = arguments.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def generate(spec: pathlib.Path, scratch: pathlib.Path) -> dict[str, bytes]:
    """Return the files of the client for this contract, by their path within the package."""
    templates, package = scratch / "templates", scratch / "package" / "superserve_api"
    write_templates(templates)
    package.parent.mkdir()
    run(
        "openapi_python_client", "generate", f"--path={spec}", "--meta=none", "--fail-on-warning",
        f"--config={HERE / 'openapi-client.yaml'}", f"--custom-template-path={templates}", f"--output-path={package}",
        cwd=package.parent,
    )  # fmt: skip
    for path in package.rglob("*.py"):
        path.write_text(HEADER + path.read_text(encoding="utf-8"), encoding="utf-8")
    # Not the project's own settings, nor those of whoever runs this: the output depends on the contract alone.
    ruff = ("--isolated", "--no-cache", "--quiet", "--target-version=py311")
    run("ruff", "check", *ruff, "--select=F401,I", "--fix-only", ".", cwd=package.parent)
    run("ruff", "format", *ruff, "--line-length=110", ".", cwd=package.parent)
    (package / "py.typed").touch()
    return read_tree(package)


def write_templates(folder: pathlib.Path) -> None:
    """Write the templates that differ from the generator's own: replaced ones first, then patched ones."""
    folder.mkdir()
    for path in (HERE / "templates").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    installed = importlib.resources.files("openapi_python_client") / "templates"
    for name in dict.fromkeys(patch.template for patch in PATCHES):
        text = (installed / name).read_text(encoding="utf-8")
        for patch in (patch for patch in PATCHES if patch.template == name):
            if text.count(patch.old) != 1:
                sys.exit(f"{name}: expected once, found {text.count(patch.old)} times:\n{patch.old}")
            text = text.replace(patch.old, patch.new)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def run(module: str, *arguments: str, cwd: pathlib.Path) -> None:
    """Run a tool of this interpreter's environment; its output is only of interest when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stdout}{done.stderr}")


def read_tree(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder, by their path in it, without what Python itself caches there."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


if __name__ == "__main__":
    main()
