"""What schemathesis has to know of this API: where openapi.yaml and the server disagree, and which ids exist.

Whatever else it finds is a mistake, in the contract or in the local server. The list of differences, written for
readers, is in docs/local-server.md under "Differences between the contract and the server".
"""

import atexit
import os
import sys
from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import attrs
import jsonschema_rs
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import (
    RejectedPositiveData,
    UnsupportedMethodResponse,
    UseAfterFree,
)

# How many requests a run has to make before it counts as one.
ENOUGH = int(os.environ.get("FUZZ_CASES", "2000"))

# Whether the server answers as newer ones do, `LocalServer(newer=True)`.
NEWER = "FUZZ_NEWER" in os.environ
# What answers of newer servers may hold beyond the values that the contract knows.
GROWING = ("TemplateStatus", "TemplateBuildStatus", "BuildLogStream")
NEWER_MAXIMA = {"vcpu": 10, "memory_mib": 20480, "disk_mib": 65536}
# Parameters that the contract has for newer servers; others ignore them.
NEWER_PARAMETERS = {
    "/templates": {"q", "owner", "sort", "order", "limit", "offset"},
    "/templates/{template_id}/builds": {"limit"},
}
TEAM_CAPS = {"vcpu": 2, "memory_mib": 2048}

CLOSER_LOOKS = (
    "mutually exclusive",
    "from_snapshot must be a UUID",
    "is neither an IPv4 address nor a CIDR",
    ": a key must",
    "a value must be",
    " bytes in all",
    "is no name of an environment variable",
    "status must be one of",
    "path must be absolute",
    "path must not contain NUL",
    "access denied",
    "path must name a file",
    "path is a directory",
    "path is not a folder",
)

_contract: dict[str, Any] = {}
PAUSE, RESUME = "POST /sandboxes/{sandbox_id}/pause", "POST /sandboxes/{sandbox_id}/resume"

_paused_ids: list[str] = []
_known_ids: deque[dict[str, str]] = deque(maxlen=10)
_numbers = count()
_answers: Counter[tuple[str, int]] = Counter()
_met: Counter[str] = Counter()


def ignores_newer_parameters(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """A parameter of newer servers is ignored, so its values aren't looked at; the ids still are."""
    return (
        not NEWER and bool(NEWER_PARAMETERS.get(case.path, set()) & case.query.keys()) and has_good_ids(case)
    )


def takes_empty_for_absent(_case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """A parameter without a value, or without a name, counts as one that isn't given."""
    return any(not (name and value) for name, value in sent_query(response))


def lowers_limits(_case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """A limit above the maximum is taken for the maximum."""
    return any(
        name == "limit" and value.isdecimal() and int(value) > 100 for name, value in sent_query(response)
    )


def takes_other_spellings_of_ids(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """Ids are also taken with `urn:uuid:` before them, between two other characters, or without dashes."""
    return bool(case.path_parameters) and has_good_ids(case)


def takes_null_for_absent(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """Null is taken for a field that isn't given, and a variable without a value for an empty one."""
    return case.operation.label == "POST /templates" and is_valid_request(as_the_server_reads(case.body))


def refuses_other_forms_of_integers(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """`1024.0` is an integer for JSON Schema and none for the server."""
    return has_float(case.body)


def refuses_reserved_names(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """Names of system templates, and images without the usual tools, are refused; their schemas don't tell."""
    body = case.body if isinstance(case.body, dict) else {}
    image = str(body.get("build_spec", {}).get("from", "")).lower()
    return str(body.get("name")).startswith("superserve/") or "alpine" in image or "distroless" in image


def keeps_teams_below_the_maximum(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """A team's own caps are below what the schema allows."""
    body = case.body if isinstance(case.body, dict) else {}
    return any((body.get(size) or 0) > cap for size, cap in TEAM_CAPS.items())


def fails_at_nul(case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """A NUL in a build spec or in a name prefix is more than the database takes."""
    return response.status_code == 500 and "\0" in text_in(case.body) + text_in(case.query)


def knows_no_405(_case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """A wrong method is an unknown route: 404 in plain text."""
    return response.status_code == 404 and response.text == "404 page not found"


def keeps_builds_of_deleted_templates(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """The builds of a deleted template stay readable, and so do their logs."""
    return "/builds" in case.path and case.method != "POST"


def reads_leniently(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """What runs inside a sandbox ignores what it does not know, and takes numbers, bodies and names as they are."""
    return case.path in {"/exec", "/exec/stream", "/files"}


def refuses_what_schemas_cannot_say(_case: schemathesis.Case, response: schemathesis.Response) -> bool:
    """Addresses, keys of metadata, paths, and what excludes one another are looked at more closely."""
    return response.status_code == 400 and any(words in response.text for words in CLOSER_LOOKS)


def knows_all_keys_of_networks(case: schemathesis.Case, _response: schemathesis.Response) -> bool:
    """A network's rules have two keys where they are sent; answers may have more one day, so the schema is open."""
    network = case.body.get("network") if isinstance(case.body, dict) else None
    return isinstance(network, dict) and bool(network.keys() - {"allow_out", "deny_out"})


@attrs.frozen
class Difference:
    """Something that the server does and the contract doesn't say."""

    name: str
    failure: type[Failure]
    explains: Callable[[schemathesis.Case, schemathesis.Response], bool]


DIFFERENCES = [
    Difference("newer parameters", AcceptedNegativeData, ignores_newer_parameters),
    Difference("empty parameters", AcceptedNegativeData, takes_empty_for_absent),
    Difference("limits lowered", AcceptedNegativeData, lowers_limits),
    Difference("id spellings", AcceptedNegativeData, takes_other_spellings_of_ids),
    Difference("null for absent", AcceptedNegativeData, takes_null_for_absent),
    Difference("forms of integers", RejectedPositiveData, refuses_other_forms_of_integers),
    Difference("reserved names", RejectedPositiveData, refuses_reserved_names),
    Difference("team caps", RejectedPositiveData, keeps_teams_below_the_maximum),
    Difference("lenient machines", AcceptedNegativeData, reads_leniently),
    Difference("closer looks", RejectedPositiveData, refuses_what_schemas_cannot_say),
    Difference("keys of networks", RejectedPositiveData, knows_all_keys_of_networks),
    Difference("NUL", ServerError, fails_at_nul),
    Difference("no 405", UnsupportedMethodResponse, knows_no_405),
    Difference("builds outlive templates", UseAfterFree, keeps_builds_of_deleted_templates),
]


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Say what newer servers do, and what the events of a log are: OpenAPI 3.2 has words for it, 3.1 has none."""
    _contract.update(raw_schema)
    schemas = raw_schema["components"]["schemas"]
    if NEWER:
        for name in GROWING:
            del schemas[name]["enum"]
        for name, maximum in NEWER_MAXIMA.items():
            schemas["CreateTemplateRequest"]["properties"][name]["maximum"] = maximum
    logs = raw_schema["paths"]["/templates/{template_id}/builds/{build_id}/logs"]["get"]
    for operation, event in (
        (logs, "BuildLogEvent"),
        (raw_schema["paths"]["/exec/stream"]["post"], "ExecStreamEvent"),
    ):
        operation["responses"]["200"]["content"]["text/event-stream"] = {
            "itemSchema": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": f"#/components/schemas/{event}"},
                    },
                    # What an event without a type is called; no other is ever sent.
                    "event": {"const": "message"},
                },
                "additionalProperties": False,
            }
        }


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    """Send every second good request with ids that exist, or with a name that is free: few would be, by chance."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or meta.phase.name is TestPhase.STATEFUL:
        return
    number = next(_numbers)
    if number % 2:
        return
    if case.operation.label == "POST /templates" and isinstance(case.body, dict):
        case.body = {**case.body, "name": f"fuzz-{number}"}
    elif case.operation.label == RESUME and _paused_ids:
        case.path_parameters = {"sandbox_id": _paused_ids.pop()}
    elif case.path_parameters and _known_ids:
        ids = _known_ids[number % len(_known_ids)]
        case.path_parameters = {name: ids[name] for name in case.path_parameters}


@schemathesis.hook
def after_call(
    _context: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response
) -> None:
    """Count the answers, and keep the ids of new builds."""
    label = case.operation.label
    _answers[label, response.status_code] += 1
    if label == PAUSE and response.status_code == 204:
        _paused_ids.append(str(case.path_parameters["sandbox_id"]))
    if label == "POST /sandboxes" and response.status_code == 201:
        _known_ids.append({"sandbox_id": response.json()["id"]})
    if label == "POST /templates" and response.status_code == 202:
        created = response.json()
        _known_ids.append({"template_id": created["id"], "build_id": created["build_id"]})


@schemathesis.hook
def filter_failure(
    _context: schemathesis.HookContext,
    failure: Failure,
    case: schemathesis.Case,
    response: schemathesis.Response,
) -> bool:
    """Keep the failures that no difference explains."""
    for difference in DIFFERENCES:
        if isinstance(failure, difference.failure) and difference.explains(case, response):
            _met[difference.name] += 1
            return False
    return True


@schemathesis.check
class EnoughWasTried:
    """A run makes many requests, and each operation succeeds at least once if nothing limits the rate."""

    def after_run(self, _context: schemathesis.CheckContext) -> None:
        """Look at the answers of the whole run."""
        assert _answers.total() >= ENOUGH, f"{_answers.total()} requests were made, {ENOUGH} are due"
        if any(status == 429 for _, status in _answers):
            return
        tried = {label for label, _ in _answers}
        succeeded = {label for label, status in _answers if status < 300}
        assert tried == succeeded, f"never succeeded: {', '.join(sorted(tried - succeeded))}"


@atexit.register
def print_what_was_met() -> None:
    """Print how each operation answered, and how often each difference showed."""
    if not _answers:
        return
    lines = ["Answers:"]
    for label in sorted({label for label, _ in _answers}):
        counts = [
            f"{status}: {number}" for (name, status), number in sorted(_answers.items()) if name == label
        ]
        lines.append(f"  {label:<53}{', '.join(counts)}")
    met = [f"{difference.name} {_met[difference.name]}" for difference in DIFFERENCES]
    sys.stderr.write("\n".join([*lines, f"Known differences met: {', '.join(met)}", ""]))


def sent_query(response: schemathesis.Response) -> list[tuple[str, str]]:
    """Return the parameters as they were sent: an empty object, say, is sent as nothing."""
    return parse_qsl(urlsplit(response.request.url or "").query, keep_blank_values=True)


def has_good_ids(case: schemathesis.Case) -> bool:
    """Whether the server reads all ids of the path as UUIDs."""
    return all(is_uuid(str(value)) for value in case.path_parameters.values())


def is_uuid(text: str) -> bool:
    """Whether the server reads a text as a UUID."""
    try:
        UUID(text[1:-1] if len(text) == 38 else text)
    except ValueError:
        return False
    return True


def is_valid_request(body: object) -> bool:
    """Whether a body of POST /templates is one by the contract."""
    schema = {**_contract, "$ref": "#/components/schemas/CreateTemplateRequest"}
    return jsonschema_rs.Draft202012Validator(schema).is_valid(body)


def as_the_server_reads(value: object) -> object:
    """Return JSON without nulls, and with empty values of variables that have none."""
    if isinstance(value, list):
        return [as_the_server_reads(item) for item in value]
    if not isinstance(value, dict):
        return value
    read = {key: as_the_server_reads(item) for key, item in value.items() if item is not None}
    return {"value": "", **read} if read.keys() == {"key"} else read


def has_float(value: object) -> bool:
    """Whether a number in a value is written with a point or an exponent."""
    if isinstance(value, dict):
        return any(map(has_float, value.values()))
    if isinstance(value, list):
        return any(map(has_float, value))
    return isinstance(value, float)


def text_in(value: object) -> str:
    """Return all text in a value."""
    if isinstance(value, dict):
        return "".join(map(text_in, [*value, *value.values()]))
    if isinstance(value, list):
        return "".join(map(text_in, value))
    return value if isinstance(value, str) else ""
