"""Specs in files: read, written, and refused with all that is wrong and its place."""

import json
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import SpecError, TemplateSpec
from superserve.specs import _locate, load_all

SPEC = (
    TemplateSpec(name="web", from_="python:3.11", vcpu=2)
    .run("printf \"%s\\n\" 'a' && b < c", 'cat <<\'EOF\'\nline 1\n\tline """2\n# no comment\nEOF')
    .env(DEBUG="", PÄTH="\x7f\u2028")
    .user("app", sudo=True)
    .start("serve", ready="up")
)
TOML = """\
# Two templates
[templates.web]
from = "python:3.11"
steps = [
  { run = "make" },  # the first
  { env = { key = "A", value = "=" } },
]

[templates."api.v1"]
from = "debian:12"

[[templates."api.v1".steps]]
run = '''
one
two
'''

[[templates."api.v1".steps]]
[templates."api.v1".steps.env]
key = "A"
value = "1"
"""


# Eight lines that stand for a hundred million parts.
BOMB = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def problems(path, **options):
    """Return what is wrong with a file: line, column, message."""
    with pytest.raises(SpecError) as caught:
        TemplateSpec.load(path, **options)
    return [(problem.place.line, problem.place.column, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("kind", ["toml", "json", "yaml"])
def test_a_spec_that_is_written_is_read_as_the_same(write, kind):
    path = write(f"a.{kind}", getattr(SPEC, f"to_{kind}")())
    assert TemplateSpec.load(path) == SPEC


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(text):
    spec = TemplateSpec(name="a", from_="b", steps=[{"run": f"x{text}"}])
    table = tomllib.loads(spec.to_toml())["templates"]["a"]
    assert TemplateSpec(name="a", from_=table["from"], steps=table["steps"]) == spec


def test_a_toml_may_hold_several_templates(write):
    specs = load_all(write("superserve.toml", TOML))
    assert list(specs) == ["web", "api.v1"]
    assert specs["api.v1"] == TemplateSpec(name="api.v1", from_="debian:12").run("one\ntwo\n").env(A="1")
    assert specs["web"] == TemplateSpec(name="web", from_="python:3.11").run("make").env(A="=")


def test_parts_of_a_file_remember_line_and_column(write):
    path = write("superserve.toml", TOML)
    web, api = load_all(path).values()
    spots = [
        (web.place_of(where).line, web.place_of(where).column)
        for where in ("from", "steps[0]", "steps[1].env.key")
    ]
    assert spots == [(3, 1), (5, 3), (6, 13)]
    assert [api.place_of(where).line for where in ("", "steps[0]", "steps[0].run", "steps[1]", "steps[1].env.value")] == [
        9, 12, 13, 18, 21,
    ]  # fmt: skip
    assert api.place_of("name").file == str(path)


@pytest.mark.parametrize(("kind", "line"), [("json", 10), ("yaml", 7)])
def test_parts_of_json_and_yaml_remember_their_lines(write, kind, line):
    spec = TemplateSpec(name="web", from_="python:3.11").run("a").workdir("/app")
    path = write(f"a.{kind}", getattr(spec, f"to_{kind}")())
    lines = path.read_text().splitlines()
    place = TemplateSpec.load(path).place_of("steps[1].workdir")
    assert "workdir" in lines[place.line - 1]
    assert TemplateSpec.load(path).place_of("from").line == next(
        number for number, text in enumerate(lines, 1) if "from" in text
    )


def test_a_file_with_several_templates_needs_a_name(write):
    path = write("superserve.toml", TOML)
    assert TemplateSpec.load(path, name="web").name == "web"
    assert "choose one of 'web', 'api.v1'" in problems(path)[0][2]
    assert "did you mean 'web'?" in problems(path, name="wep")[0][2]


def test_ten_mistakes_get_ten_messages_with_line_and_column(write):
    path = write(
        "superserve.toml",
        """\
[templates.Web]
form = "alpine"
vcpu = "2"
start_command = "serve"
steps = [
  { rum = "make" },
  { run = "make", workdir = "/app" },
  { env = "A=1" },
  { env = { key = "", value = "1" } },
  { user = { name = "App" } },
]
ready_cmd = 5
""",
    )
    told = problems(path)
    assert [line for line, *_ in told] == [1, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12]
    assert all(column for _, column, _ in told)
    messages = [message for *_, message in told]
    assert messages[0].startswith("'from' is missing")
    assert messages[2] == "unknown key 'form'; did you mean 'from'?"
    assert messages[4] == "unknown key 'start_command'; did you mean 'start_cmd'?"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.toml", b"", "is empty"),
        ("a.toml", b" \n", "is empty"),
        ("a.toml", b'[templates.web]\nfrom = "\xff"\n', "is not UTF-8"),
        ("a.toml", b"#" * (4 * 2**20 + 1), "is larger than 4 MiB"),
        ("a.toml", "[templates.web]\nfrom = \n", "is not TOML"),
        ("a.toml", "[templates]\n", "has no template"),
        ("a.toml", "[template.web]\nfrom = 'x'\n", "did you mean 'templates'?"),
        ("a.toml", "templates = 5\n", "has no template"),
        ("a.toml", "[templates]\nweb = 5\n", "expected a table [templates.web], got a number"),
        ("a.toml", "[templates.web]\nfrom = 'x'\nsteps = 'make'\n", "expected a list of steps, got a string"),
        ("a.json", '{"name": "a",}', "is not JSON"),
        ("a.json", "[]", "contains a list"),
        ("a.json", '{"name": "a", "name": "b", "from": "x"}', "has the key 'name' twice"),
        ("a.json", '{"name": "a", "build_spec": {"from": "x", "step": []}}', "did you mean 'steps'?"),
        ("a.json", '{"name": "a", "build_spec": 5, "from": "x"}', "expected a table, got a number"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.yaml", "name: a\n\tfrom: x\n", "is not YAML"),
        ("a.yaml", "name: a\nname: b\nfrom: x\n", "has the key 'name' twice"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "is not YAML"),
        ("a.yaml", "- a\n", "contains a list"),
        ("a.yaml", BOMB, "its aliases expanded"),
        ("a.yaml", "a: &a [*a]\n", "is not YAML"),
        ("a.txt", "x", "is not a spec"),
    ],
)
def test_what_is_no_spec_is_refused_in_a_sentence(write, name, content, told):
    path = write(name, content)
    messages = problems(path)
    assert told in messages[-1][2]


def test_syntax_errors_have_their_line_and_column(write):
    assert problems(write("a.toml", "[templates.web]\nfrom = = 1\n"))[0][:2] == (2, 8)
    assert problems(write("a.toml", "[templates.web]\nfrom = '"))[0][0] == 2
    assert problems(write("a.json", '{\n "a": }'))[0][:2] == (2, 7)
    assert problems(write("a.yaml", "a: [\nb: }"))[0][0] == 2
    assert problems(write("a.toml", b"\n\n\xff"))[0][0] == 3


def test_folders_and_missing_files_are_told_as_what_they_are(tmp_path):
    (tmp_path / "a.toml").mkdir()
    assert "is a folder" in problems(tmp_path / "a.toml")[0][2]
    assert "does not exist" in problems(tmp_path / "b.toml")[0][2]
    assert "cannot be read" in problems("a\0b.toml")[0][2]


def test_a_byte_order_mark_and_windows_lines_are_no_mistakes(write):
    path = write("a.toml", b"\xef\xbb\xbf" + TOML.replace("\n", "\r\n").encode())
    assert load_all(path)["web"].steps[0].run == "make"


def test_the_flat_form_and_a_schema_key_are_taken_too(write):
    path = write("a.json", '{"$schema": "x", "name": "a", "from": "b", "steps": [{"run": "c"}]}')
    assert TemplateSpec.load(path) == TemplateSpec(name="a", from_="b").run("c")


def test_without_pyyaml_the_extra_is_named(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'superserve-client[yaml]'" in problems(write("a.yaml", "name: a"))[0][2]
    with pytest.raises(SpecError, match="superserve-client\\[yaml\\]"):
        SPEC.to_yaml()


def test_the_schema_for_editors_takes_what_is_read_and_refuses_the_rest():
    schema = json.loads((Path(_locate.__file__).parent / "superserve.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert validator.is_valid(tomllib.loads(TOML))
    assert validator.is_valid(tomllib.loads(SPEC.to_toml()))
    for broken in (
        "[templates.web]\n",
        "[templates.web]\nfrom='x'\nfoo=1",
        "[templates.web]\nfrom='x'\nsteps=[{rum='x'}]",
    ):
        assert not validator.is_valid(tomllib.loads(broken))


@pytest.mark.slow
@given(
    st.recursive(st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_every_value_of_a_json_document_has_its_place(value):
    text = json.dumps(value, indent=1)
    lines = text.splitlines()

    def paths(value, path=()):
        yield path
        if isinstance(value, dict):
            for key, item in value.items():
                yield from paths(item, (*path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from paths(item, (*path, index))

    found = _locate.from_json(text)
    assert set(found) == set(paths(value))
    for path, (line, column) in found.items():
        if path and isinstance(path[-1], str):
            assert lines[line - 1][column - 1 :].startswith(json.dumps(path[-1]))


def test_what_a_file_holds_cannot_steer_the_terminal(write):
    path = write("a.toml", '[templates."a\\u001b[2Jb"]\nfrom = "x"\n"\\u001b[31m" = 1\n')
    with pytest.raises(SpecError) as caught:
        TemplateSpec.load(path)
    assert "\x1b" not in str(caught.value)


def test_a_dockerfile_is_one_template(write):
    assert load_all(write("Dockerfile", "FROM a\nRUN b\n")).popitem()[1].steps[0].run == "b"


def test_a_toml_may_name_its_schema(write):
    assert list(load_all(write("a.toml", f'"$schema" = "./superserve.schema.json"\n{TOML}'))) == [
        "web",
        "api.v1",
    ]
