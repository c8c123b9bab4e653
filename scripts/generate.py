"""Write generated/superserve_api from openapi.yaml; with --check only compare, naming each file that differs.

The generator is openapi-python-client, the formatter ruff, both pinned in noxfile.py. What the generator does badly is
mended in its templates: short ones are replaced (templates/*.jinja), the others are patched as they are
installed, so that everything else in them stays the pinned version's own.
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

# Template, old text, new text. The old text has to be there exactly once.
PATCHES = [
    # wire.py does by hand what the generated code gets wrong.
    (ENDPOINT, "from ... import errors\n", "from ... import errors, wire\n"),
    (MODEL, "from ..types import UNSET, Unset\n", "from .. import wire\nfrom ..types import UNSET, Unset\n"),
    # A status that http.HTTPStatus doesn't know (520, from a gateway) is not an error of the reader.
    (TYPES, "    status_code: HTTPStatus\n", "    status_code: HTTPStatus | int\n"),
    # Nor is a body that doesn't fit the status: an HTML page with a documented error, an empty body, a bare string.
    # The answer keeps what was wrong with it.
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
        status_code: The status; a plain number if it is none of the standard ones.
        content: The body as it came.
        headers: The headers.
        parsed: What the body says; None if the contract knows no body for this status, or if it cannot be read.
        problem: Why a body that the contract knows cannot be read, such as "field 'id' is missing"; None if it can.
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
    # A success that the contract doesn't name (201 for 202, a mock's 200 for 201) is read like the last one it names.
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
    # Fields are read where they are, and checked (reading.jinja); the dictionary is copied only for unknown ones.
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
    # By position, in the order in which the class has them: a quarter of the time that it takes by name.
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
    # A token is not shown with the rest, nor is a body, which may hold one.
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
    # Nor is a null that the contract doesn't foresee, where it would be converted: an optional field counts as absent.
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
    # What fits no part of a union is not taken as it is.
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
    # What is no list is not read as one, and the error for an item tells which one it is.
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
    # A stream of events, or a file, is read as it comes, by a reader that makes the request itself.
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
    \"\"\"Return the request as arguments for httpx (method, url and so on). Hand it to an event-stream reader, such as
    `httpx_sse.connect_sse(client.get_httpx_client(), **request_arguments(...), timeout=...)`.
    \"\"\"
    return _get_kwargs(
        {{ kwargs(endpoint, include_client=False) }}
    )
{% endif %}
""",
    ),
    # What is sent as it is may be bytes, too: an open file is none that the asyncio functions can send.
    (
        TYPES,
        '    """ Contains information for file uploads """\n\n    payload: BinaryIO\n',
        """\
    \"\"\"What is uploaded: bytes, or an open file for the functions that are not asyncio's.\"\"\"

    payload: BinaryIO | bytes
""",
    ),
    # An id that is empty or ".." would make the path of another operation.
    (
        ENDPOINT,
        'quote(str({{parameter.python_name}}), safe="")',
        "wire.path_segment({{parameter.python_name}})",
    ),
    # UNSET is compared by identity, so a copy or a pickle has to bring back the one that there is.
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
    # The key is sent in the header that the API reads, and shown nowhere else: not even where it cannot be sent.
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
    # What the caller passed in, or goes on using, is not changed under his hands.
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
    # Connections belong to the event loop that they were made in: each loop gets some of its own.
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
    # Every wait ends. Deleting a template takes the server up to 30 s.
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
    """Generate into a temporary folder, then compare with the output folder, or bring that up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if a file differs")
    parser.add_argument("--spec", type=pathlib.Path, default=HERE.parent / "openapi.yaml")
    parser.add_argument("--output", type=pathlib.Path, default=HERE.parent / "generated" / "superserve_api")
    arguments = parser.parse_args()

    old = read_tree(arguments.output)
    if old and not any(content.startswith(b"# Written by scripts/generate.py") for content in old.values()):
        sys.exit(
            f"{arguments.output} holds what this program didn't write: remove it, or name another folder"
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
        sys.exit(f"{count} files are not what {arguments.spec} gives: run `nox -s generate`" if count else 0)
    for name in stale:
        (arguments.output / name).unlink()
    for name in changed + missing:
        (arguments.output / name).parent.mkdir(parents=True, exist_ok=True)
        (arguments.output / name).write_bytes(new[name])
    print(f"{count} of {len(new)} files changed")


def generate(spec: pathlib.Path, scratch: pathlib.Path) -> dict[str, bytes]:
    """Return the files of the client for this contract, by their path in the package."""
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
    # Isolated from any settings and ignore files around the scratch folder: the files depend on the contract alone.
    ruff = ("--isolated", "--no-respect-gitignore", "--no-cache", "--quiet", "--target-version=py311")
    run("ruff", "check", *ruff, "--select=F401,I", "--fix-only", ".", cwd=package.parent)
    run("ruff", "format", *ruff, "--line-length=110", ".", cwd=package.parent)
    return read_tree(package)


def write_templates(folder: pathlib.Path) -> None:
    """Write the templates that are to be used instead of the generator's own."""
    installed = importlib.resources.files("openapi_python_client") / "templates"
    texts = {path.name: path.read_text(encoding="utf-8") for path in (HERE / "templates").glob("*.jinja")}
    for name, old, new in PATCHES:
        text = texts.get(name) or (installed / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            sys.exit(
                f"The patch of {name} doesn't apply: expected once, found {text.count(old)} times:\n{old}"
            )
        texts[name] = text.replace(old, new)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def run(module: str, *arguments: str, cwd: pathlib.Path) -> None:
    """Run a tool of this interpreter's environment; what it prints is of interest only if it fails."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stdout}{done.stderr}")


def read_tree(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder, by their path in it, without what Python itself caches there."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


if __name__ == "__main__":
    main()
