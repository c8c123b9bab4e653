"""What servers to come may answer: whatever openapi.yaml allows, and all that it lets answers grow.

    answers("listTemplates")   # a strategy of values that are valid answers to the operation
    objects("BuildLogEvent")   # the same for a component

Objects have further fields of any kind, enums have values that nobody knows yet, and what is not required is absent or
null.
"""

import pathlib

import yaml
from hypothesis import strategies as st

# The loader in C, where there is one, is ten times faster.
CONTRACT = yaml.load(
    (pathlib.Path(__file__).parent.parent / "openapi.yaml").read_text(encoding="utf-8"),
    getattr(yaml, "CSafeLoader", yaml.SafeLoader),
)
OPERATIONS = {
    operation["operationId"]: operation
    for path in CONTRACT["paths"].values()
    for operation in path.values()
    if "operationId" in operation
}


def jsons_of(texts):
    """Return a strategy of anything that JSON can say, with such texts and keys."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    )


jsons = jsons_of(st.text())


@st.composite
def times(draw):
    """Return a time as RFC 3339 has it: any offset, any fraction of a second."""
    seconds = draw(st.datetimes()).isoformat(timespec="seconds")
    digits = draw(st.text("0123456789", max_size=9))
    offset = draw(st.sampled_from(["Z", "+00:00", "-00:00", "+05:30", "-14:00", "+14:00"]))
    return f"{seconds}{'.' if digits else ''}{digits}{offset}"


PLAIN = {
    ("string", None): st.text(),
    ("string", "date-time"): times(),
    ("integer", None): st.integers(),
    ("integer", "int64"): st.integers(-(2**63), 2**63 - 1),
    ("boolean", None): st.booleans(),
}


def values(schema):
    """Return a strategy of what a schema allows."""
    match schema:
        case {"$ref": reference}:
            return objects(reference.rpartition("/")[2])
        case {"enum": known}:
            return st.sampled_from(known) | st.text(min_size=1)
        case {"type": "array", "items": items}:
            return st.lists(values(items), max_size=3)
        case {"type": "object", "properties": properties}:
            return _objects(properties, schema.get("required", []))
        case {"type": "string", "pattern": _}:
            # Ids, which are opaque.
            return st.uuids().map(str) | st.text(min_size=1)
    return PLAIN[schema["type"], schema.get("format")]


def _objects(properties, required):
    known = st.fixed_dictionaries(
        {name: values(properties[name]) for name in required},
        optional={
            name: st.none() | values(schema) for name, schema in properties.items() if name not in required
        },
    )
    added = st.dictionaries(st.text().filter(lambda name: name not in properties), jsons, max_size=3)
    return st.builds(lambda more, answer: more | answer, added, known)


def objects(component):
    """Return a strategy of what a component of the contract may be."""
    return values(CONTRACT["components"]["schemas"][component])


def answers(operation):
    """Return a strategy of successful answers to an operation: status and value."""
    responses = OPERATIONS[operation]["responses"]
    return st.one_of(
        st.tuples(st.just(int(status)), values(response["content"]["application/json"]["schema"]))
        for status, response in responses.items()
        if status.startswith("2")
    )
