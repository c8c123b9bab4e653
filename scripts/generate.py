"""Write generated/superserve_api from openapi.yaml. With --check only compare, and name each file that differs.

The generator is openapi-python-client, the formatter is ruff; noxfile.py pins both. Weaknesses of the generator are fixed
in its templates: short ones are replaced (templates/*.jinja), the others are patched as installed, so that the rest of
them stays as in the pinned version.
"""

import argparse
import importlib.resources
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
HEADER = "# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.\n"

CLIENT, ENDPOINT, MODEL, TYPES = (
    f"{name}.py.jinja" for name in ("client", "endpoint_module", "model", "types")
)
DATETIME, LIST, MACROS, UNION = (
    f"property_templates/{name}.py.jinja"
    for name in ("datetime_property", "list_property", "property_macros", "union_property")
)

# Template, old text, new text. The old text must occur exactly once.
PATCHES = [
    # wire.py has hand-written functions for what the generated code gets wrong.
    (ENDPOINT, "from ... import errors\n", "from ... import errors, wire\n"),
    (MODEL, "from ..types import UNSET, Unset\n", "from .. import wire\nfrom ..types import UNSET, Unset\n"),
    # A status that http.HTTPStatus does not know (520, from a gateway) raises no error.
    (TYPES, "    status_code: HTTPStatus\n", "    status_code: HTTPStatus | int\n"),
    # A body that does not fit the status raises no error either: an HTML page with a documented error status, an empty
    # body, a bare string. The answer says what is wrong with it.
    (
        ENDPOINT,
        "    return Response(\n        status_code=HTTPStatus(response.status_code),\n",
        (
            "    parsed, problem = wire.parsed_or_problem(_parse_response, client=client, response=response)\n"
            "    return Response(\n        status_code=wire.http_status(response.status_code),\n"
        ),
    ),
    (
        ENDPOINT,
        "        parsed=_parse_response(client=client, response=response),\n",
        "        parsed=parsed,\n        problem=problem,\n",
    ),
    (
        TYPES,
        '    """ A response from an endpoint """\n',
        """\
    \"\"\"A response from an endpoint

    Attributes:
        status_code: The status; a plain number if it is not a standard one.
        content: The body as it came.
        headers: The headers.
        parsed: The parsed body; None if the contract has no body for this status, or if the body cannot be read.
        problem: Why a documented body cannot be read, such as "field 'id' is missing"; None if it can be read.
            It quotes nothing of the body.
    \"\"\"
""",
    ),
    (TYPES, "    parsed: T | None\n", "    parsed: T | None\n    problem: str | None = None\n"),
    *(
        (
            ENDPOINT,
            f"parse_response(parsed_responses, {answer}) |",
            f'parse_response(parsed_responses, {answer}) | replace("response.json()", "wire.decoded(response)") |',
        )
        for answer in ("response", "endpoint.responses.default")
    ),
    # A success that the contract does not name (201 for 202, a mock's 200 for 201) is read like the last one it names.
    (
        ENDPOINT,
        "    if response.status_code == {{ code_range[0] }}:\n",
        """\
    {% set successes = endpoint.responses.patterns | selectattr("status_code.range.0", "ge", 200)
        | selectattr("status_code.range.0", "lt", 300) | list %}
    {% if response == successes | last and not endpoint.responses.default %}
    if response.status_code == {{ code_range[0] }} or wire.is_other_success(response, client):
    {% else %}
    if response.status_code == {{ code_range[0] }}:
    {% endif %}
""",
    ),
    # Fields are read in place, and checked (reading.jinja). The dictionary is copied only for unknown fields.
    (
        MODEL,
        '{% from "helpers.jinja" import docstring %}\n',
        '{% from "helpers.jinja" import docstring %}\n{% from "reading.jinja" import read %}\n',
    ),
    (
        MODEL,
        'T = TypeVar("T", bound="{{ class_name }}")\n',
        """\
T = TypeVar("T", bound="{{ class_name }}")

{% if model.additional_properties %}
_FIELDS: frozenset[str] = frozenset([
{%- for property in model.required_properties + model.optional_properties -%}
"{{ property.name | in_double_quote_literal }}"{% if not loop.last %}, {% endif %}
{%- endfor -%}
])
{% endif %}
""",
    ),
    (
        MODEL,
        "        d = dict(src_dict)\n",
        "        if type(src_dict) is not dict:\n            wire.check_object(src_dict)\n\n",
    ),
    (
        MODEL,
        """\
    {% if property.required %}
        {% set property_source = 'd.pop("' + (property.name | in_double_quote_literal) + '")' %}
    {% else %}
        {% set property_source = 'd.pop("' + (property.name | in_double_quote_literal) + '", UNSET)' %}
    {% endif %}
    {% import "property_templates/" + property.template as prop_template %}
    {% if prop_template.construct %}
        {{ prop_template.construct(property, property_source) | indent(8) }}
    {% else %}
        {{ property.python_name }} = {{ property_source }}
    {% endif %}
""",
        "        {{ read(property) | indent(8) }}\n",
    ),
    # By position, in the order of the class: this takes a quarter of the time of arguments by name.
    (
        MODEL,
        """\
{% for property in model.required_properties + model.optional_properties %}
            {{ property.python_name }}={{ property.python_name }},
{% endfor %}
""",
        """\
{% for property in model.required_properties + model.optional_properties if property.default is none and property.required %}
            {{ property.python_name }},
{% endfor %}
{% for property in model.required_properties + model.optional_properties if property.default is not none or not property.required %}
            {{ property.python_name }},
{% endfor %}
""",
    ),
    (MODEL, "in d.items():", "in wire.other_fields(src_dict, _FIELDS).items():"),
    (
        MODEL,
        "        {{ module_name }}.additional_properties = d\n",
        """\
        if not _FIELDS.issuperset(src_dict):
            {{ module_name }}.additional_properties = wire.other_fields(src_dict, _FIELDS
            {%- if additional_property_type in ("str", "int", "float", "bool") %}, {{ additional_property_type }}{% endif %})
""",
    ),
    # The repr of an answer shows no token, and no body, which may contain one.
    (TYPES, "from attrs import define\n", "from attrs import define, field\n"),
    (TYPES, "    content: bytes\n", '    content: bytes = field(repr=lambda body: f"<{len(body)} bytes>")\n'),
    (
        MODEL,
        "{%- else -%}\n{{ property.to_string() | as_unembedded_code }}\n",
        """\
{%- elif property.name == "access_token" -%}
{{ property.python_name }}: {{ property.get_type_string() | as_unembedded_code }} = _attrs_field(
{%- if not property.required %}default=UNSET, {% endif %}repr=False)
{%- else -%}
{{ property.to_string() | as_unembedded_code }}
""",
    ),
    # A null that the contract does not allow is not converted: an optional field then counts as missing.
    (
        MACROS,
        "if isinstance(_{{ property.python_name }},  Unset):",
        "if _{{ property.python_name }} is None or _{{ property.python_name }} is UNSET:",
    ),
    (
        LIST,
        "{% macro construct(property, source) %}\n",
        '{% from "reading.jinja" import array %}\n{% macro construct(property, source) %}\n',
    ),
    (
        LIST,
        """\
{{ property.python_name }} = cast({{ property.get_type_string(no_optional=True) | as_unembedded_code }}, {{ source }})
""",
        """\
    {% if property.required %}
{{ property.python_name }} = {{ array(inner_property, source) | trim }}
    {% else %}
_{{ property.python_name }} = {{ source }}
{{ property.python_name }}: {{ property.get_type_string() | as_unembedded_code }} = UNSET
if _{{ property.python_name }} is not None and _{{ property.python_name }} is not UNSET:
    {{ property.python_name }} = {{ array(inner_property, "_" + property.python_name) | trim }}
    {% endif %}
""",
    ),
    # A value that fits no part of a union is refused.
    (
        UNION,
        "{% macro construct(property, source) %}\n",
        '{% from "reading.jinja" import one_of %}\n{% macro construct(property, source) %}\n',
    ),
    (
        UNION,
        "    return cast({{ property.get_type_string() | as_unembedded_code }}, data)\n",
        "    return cast({{ property.get_type_string() | as_unembedded_code }}, {{ one_of(property) | trim }})\n",
    ),
    # A value that is not a list is not read as one. The error for an item names its index.
    (
        LIST,
        """\
_{{ property.python_name }} = {{ source }}
for {{ inner_source }} in (_{{ property.python_name }}):
    {{ inner_template.construct(inner_property, inner_source) | indent(4) }}
    {{ property.python_name }}.append({{ inner_property.python_name }})
""",
        """\
_{{ property.python_name }} = {{ array(inner_property, source) | trim }}
try:
    for {{ inner_source }} in _{{ property.python_name }}:
        {{ inner_template.construct(inner_property, inner_source) | indent(8) }}
        {{ property.python_name }}.append({{ inner_property.python_name }})
except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
    raise wire.in_item(len({{ property.python_name }}), unreadable) from None
""",
    ),
    (
        LIST,
        """\
if _{{ property.python_name }} is not UNSET:
    {{ property.python_name }} = []
    for {{ inner_source }} in _{{ property.python_name }}:
        {{ inner_template.construct(inner_property, inner_source) | indent(8) }}
        {{ property.python_name }}.append({{ inner_property.python_name }})
""",
        """\
if _{{ property.python_name }} is not None and _{{ property.python_name }} is not UNSET:
    {{ property.python_name }} = []
    _{{ property.python_name }} = {{ array(inner_property, "_" + property.python_name) | trim }}
    try:
        for {{ inner_source }} in _{{ property.python_name }}:
            {{ inner_template.construct(inner_property, inner_source) | indent(12) }}
            {{ property.python_name }}.append({{ inner_property.python_name }})
    except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
        raise wire.in_item(len({{ property.python_name }}), unreadable) from None
""",
    ),
    (DATETIME, "datetime.datetime.fromisoformat({{ source }})", "wire.parse_datetime({{ source }})"),
    # The caller reads a stream of events, or a file, in pieces, and makes the request for it.
    (
        ENDPOINT,
        "    return _kwargs\n",
        """\
    return _kwargs

{% set kinds = endpoint.responses.patterns | map(attribute="data.content") | select | map("list") | sum(start=[]) %}
{% if "text/event-stream" in kinds or "application/octet-stream" in kinds %}
def request_arguments(
    {{ arguments(endpoint, include_client=False) | indent(4) }}
) -> dict[str, Any]:
    \"\"\"Return the request as arguments for httpx (method, url and so on). Pass it to an event-stream reader, such as
    `httpx_sse.connect_sse(client.get_httpx_client(), **request_arguments(...), timeout=...)`.
    \"\"\"
    return _get_kwargs(
        {{ kwargs(endpoint, include_client=False) }}
    )
{% endif %}
""",
    ),
    # A file may also be bytes: the asyncio functions cannot send an open file.
    (
        TYPES,
        '    """ Contains information for file uploads """\n\n    payload: BinaryIO\n',
        """\
    \"\"\"The content of an upload: bytes, or an open file for functions that are not asyncio's.\"\"\"

    payload: BinaryIO | bytes
""",
    ),
    # An id that is empty or ".." would make the path of another operation.
    (
        ENDPOINT,
        'quote(str({{parameter.python_name}}), safe="")',
        "wire.path_segment({{parameter.python_name}})",
    ),
    # UNSET is compared by identity, so a copy or a pickle must return the same object.
    (
        TYPES,
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
    # The key is sent in the API's header, and shown nowhere else, not even in the error for a key that cannot be sent.
    (CLIENT, "import httpx\n\n\n{% set", "import httpx\n\nfrom . import wire\n\n\n{% set"),
    (CLIENT, "default='\"Bearer\"'", "default='\"\"'"),
    (CLIENT, "default='\"Authorization\"'", "default='\"X-API-Key\"'"),
    (
        CLIENT,
        'type="str", default="", docstring="The token',
        'type="str", default="field(repr=False, converter=wire.header_value)", docstring="The token',
    ),
    (CLIENT, 'alias="cookies")', 'alias="cookies", repr=False)'),
    (CLIENT, 'alias="headers")', 'alias="headers", repr=False)'),
    (CLIENT, 'alias="httpx_args")', 'alias="httpx_args", repr=False)'),
    # Objects of the caller are not changed.
    (
        CLIENT,
        r'"self._headers[self.auth_header_name] = f\"{self.prefix} {self.token}\" if self.prefix else self.token"',
        (
            r'"value = f\"{self.prefix} {self.token}\" if self.prefix else self.token\n'
            r'self._headers = {**self._headers, self.auth_header_name: value}"'
        ),
    ),
    *(
        (
            CLIENT,
            (
                f"        if self._client is not None:\n            self._client.{change}\n"
                f"        if self._async_client is not None:\n            self._async_client.{change}\n"
            ),
            "",
        )
        for change in ("headers.update(headers)", "cookies.update(cookies)", "timeout = timeout")
    ),
    # Connections belong to the event loop that they were made in, so each loop gets its own.
    (
        CLIENT,
        "    _async_client: httpx.AsyncClient | None = field(default=None, init=False)\n",
        """\
    _async_client: httpx.AsyncClient | None = field(default=None, init=False)
    _async_clients: dict[Any, httpx.AsyncClient] = field(factory=dict, init=False, repr=False, eq=False)
""",
    ),
    (
        CLIENT,
        "AsyncClient, constructing a new one if not previously set",
        "AsyncClient, constructing a new one for each event loop if not previously set",
    ),
    (
        CLIENT,
        "        if self._async_client is None:\n",
        """\
        if self._async_client is not None:
            return self._async_client
        loop = wire.current_loop(self._async_clients)
        if loop not in self._async_clients:
""",
    ),
    (CLIENT, "self._async_client = httpx.AsyncClient(", "self._async_clients[loop] = httpx.AsyncClient("),
    (
        CLIENT,
        "        return self._async_client\n\n    async def",
        "        return self._async_clients[loop]\n\n    async def",
    ),
    # Every wait ends. The server needs up to 30 s to delete a template.
    (
        CLIENT,
        'field(default=None, kw_only=True, alias="timeout")',
        'field(factory=lambda: httpx.Timeout(60.0, connect=10.0), kw_only=True, alias="timeout")',
    ),
    (
        CLIENT,
        "httpx.TimeoutException if this is exceeded.\n",
        "httpx.TimeoutException if this is exceeded. By default 60 seconds without progress, 10 to connect.\n",
    ),
]


def main() -> None:
    """Generate into a temporary folder, then compare with the output folder, or update it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if a file differs")
    parser.add_argument("--spec", type=pathlib.Path, default=HERE.parent / "openapi.yaml")
    parser.add_argument("--output", type=pathlib.Path, default=HERE.parent / "generated" / "superserve_api")
    arguments = parser.parse_args()

    old = read_tree(arguments.output)
    if old and not any(content.startswith(b"# Written by scripts/generate.py") for content in old.values()):
        sys.exit(
            f"{arguments.output} contains files that this program did not write: remove it, or name another folder"
        )
    with tempfile.TemporaryDirectory() as scratch:
        new = generate(arguments.spec.resolve(), pathlib.Path(scratch))
    changed = sorted(name for name in new.keys() & old.keys() if new[name] != old[name])
    missing = sorted(new.keys() - old.keys())
    stale = sorted(old.keys() - new.keys())

    for kind, names in (("changed", changed), ("missing", missing), ("stale", stale)):
        for name in names:
            print(f"{kind}: {arguments.output / name}")
    count = len(changed + missing + stale)
    if arguments.check:
        sys.exit(
            f"{count} files differ from what {arguments.spec} gives: run `nox -s generate`" if count else 0
        )
    for name in stale:
        (arguments.output / name).unlink()
    for name in changed + missing:
        (arguments.output / name).parent.mkdir(parents=True, exist_ok=True)
        (arguments.output / name).write_bytes(new[name])
    print(f"{count} of {len(new)} files changed")


def generate(spec: pathlib.Path, scratch: pathlib.Path) -> dict[str, bytes]:
    """Return the files of the client for this contract, by their paths in the package."""
    templates, package = scratch / "templates", scratch / "output" / "superserve_api"
    write_templates(templates)
    package.parent.mkdir()
    run(
        "openapi_python_client", "generate", "--meta=none", "--fail-on-warning", f"--path={spec}",
        f"--config={HERE / 'openapi-client.yaml'}", f"--custom-template-path={templates}", f"--output-path={package}",
        cwd=package.parent,
    )  # fmt: skip
    (package / "py.typed").touch()
    (package / "wire.py").write_bytes((HERE / "templates" / "wire.py").read_bytes())
    for path in package.rglob("*.py"):
        path.write_text(HEADER + path.read_text(encoding="utf-8"), encoding="utf-8")
    # Isolated from settings and ignore files around the scratch folder: the output depends only on the contract.
    ruff = ("--isolated", "--no-respect-gitignore", "--no-cache", "--quiet", "--target-version=py311")
    run("ruff", "check", *ruff, "--select=F401,I", "--fix-only", ".", cwd=package.parent)
    run("ruff", "format", *ruff, "--line-length=110", ".", cwd=package.parent)
    return read_tree(package)


def write_templates(folder: pathlib.Path) -> None:
    """Write the templates that replace the generator's own."""
    installed = importlib.resources.files("openapi_python_client") / "templates"
    texts = {path.name: path.read_text(encoding="utf-8") for path in (HERE / "templates").glob("*.jinja")}
    for name, old, new in PATCHES:
        text = texts.get(name) or (installed / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            sys.exit(
                f"The patch of {name} does not apply: expected once, found {text.count(old)} times:\n{old}"
            )
        texts[name] = text.replace(old, new)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def run(module: str, *arguments: str, cwd: pathlib.Path) -> None:
    """Run a tool in this interpreter's environment. Its output is shown only if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stdout}{done.stderr}")


def read_tree(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder, by their paths in it, without Python's caches."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


if __name__ == "__main__":
    main()
