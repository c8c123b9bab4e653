"""The private names of other packages that this one touches: they exist, do what they are used for, and are few."""

import ast
import functools
import threading
from pathlib import Path

import httpcore
import httpx
import pytest

import superserve
from superserve import Superserve, Template
from superserve._http import private
from tests.wire import reply

SOURCES = Path(superserve.__file__).parent
OURS = [
    file
    for file in SOURCES.rglob("*.py")
    if not {"local", "_sync"} & set(file.relative_to(SOURCES).parts) and file.name != "__main__.py"
]
# Each is defined or set in one place, and each has a test of its own below.
ALLOWED = {"_pool", "_build_redirect_request", "_content", "_optional_thread_lock"}
PRIVATE = next(file for file in OURS if file.name == "private.py")


@functools.cache
def trees() -> dict[Path, ast.Module]:
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in OURS}


def names_defined(tree: ast.AST) -> set[str]:
    """Return the names that a module gives to things of its own."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


def test_private_modules_and_names_of_other_packages_are_imported_nowhere():
    for file, tree in trees().items():
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module=str(module), names=aliases):
                    names = [*module.split("."), *(alias.name for alias in aliases)]
                case ast.Import(names=aliases):
                    names = [part for alias in aliases for part in alias.name.split(".")]
                case _:
                    continue
            if names[0] not in ("superserve", "__future__"):
                assert not [name for name in names if name.startswith("_")], f"{file}: {ast.unparse(node)}"


def test_private_attributes_of_other_packages_are_touched_in_one_module_and_are_four():
    # Names such as `_value_` are enum's, and documented. Those that this package gives to its own objects are its own to touch.
    own = {name for file, tree in trees().items() if file != PRIVATE for name in names_defined(tree)}
    touched = {
        file: {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("_")
        }
        for file, tree in trees().items()
    }
    assert {file: names - own for file, names in touched.items() if file != PRIVATE and names - own} == {}
    assert not own & ALLOWED
    overridden = {
        node.name
        for node in ast.walk(trees()[PRIVATE])
        if isinstance(node, ast.FunctionDef) and node.name.startswith("_") and not node.name.endswith("_")
    }
    assert touched[PRIVATE] - {"_choose"} | overridden == ALLOWED


def test_a_request_goes_through_the_pool_that_a_transport_finds_in_pool():
    seen = []

    class Pool(httpcore.ConnectionPool):
        def handle_request(self, request):
            seen.append(request.url.target)
            return httpcore.Response(204)

    with Pool() as pool, httpx.Client(transport=private.Transport(lambda: pool)) as client:
        assert client.get("http://api.test/here").status_code == 204
    assert seen == [b"/here"]


async def test_so_it_does_in_asynchronous_code():
    seen = []

    class Pool(httpcore.AsyncConnectionPool):
        async def handle_async_request(self, request):
            seen.append(request.url.target)
            return httpcore.Response(204)

    async with Pool() as pool, httpx.AsyncClient(transport=private.AsyncTransport(lambda: pool)) as client:
        assert (await client.get("http://api.test/here")).status_code == 204
    assert seen == [b"/here"]


class Plain(private.Unredirected, httpx.Client):
    """What `HTTPClient` is, as far as redirects go."""


def test_httpx_reads_where_a_redirect_leads_to_unless_it_is_kept_from_it():
    def redirect(_request):
        return httpx.Response(302, headers={"Location": "https://host:port/"})

    transport = httpx.MockTransport(redirect)
    with (
        httpx.Client(transport=transport) as client,
        pytest.raises(httpx.RemoteProtocolError, match="Invalid URL"),
    ):
        client.get("http://api.test/")
    with Plain(transport=transport) as client:
        assert client.get("http://api.test/").status_code == 302


def test_a_body_that_is_given_to_a_response_is_its_content():
    response = httpx.Response(200, stream=httpx.ByteStream(b"never read"))
    assert private.set_content(response, b'{"a": 1}') is response
    assert (response.content, response.json(), response.text) == (b'{"a": 1}', {"a": 1}, '{"a": 1}')


def test_a_pool_takes_the_lock_that_it_is_given(serve, key):
    """A lock of httpcore's own is written in Python, and an interrupt in it leaves it locked."""
    pool = httpcore.ConnectionPool()
    assert not isinstance(pool._optional_thread_lock, type(threading.Lock()))
    assert isinstance(private.harden_lock(pool)._optional_thread_lock, type(threading.Lock()))

    entered = []

    class Counting:
        def __enter__(self):
            entered.append(True)

        def __exit__(self, *_):
            pass

    with Superserve(api_key=key, base_url=serve(reply(json=[])).url) as client:
        client._connections.pool()._optional_thread_lock = Counting()
        Template.list(client=client)
    assert entered
