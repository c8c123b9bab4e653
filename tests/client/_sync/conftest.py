# Written by scripts/unasync.py from tests/client/_async/conftest.py. Do not edit: change that, then run `nox -s generate`.
"""Clients for the tests of this colour."""

import pytest

from superserve import Superserve, Template
from superserve._http.planes import Access
from superserve._sync import client as client_module
from superserve._sync.sandboxes import Sandbox
from tests.script import TEMPLATE_ID
from tests.talk import handle


@pytest.fixture
def client(server):
    """A client of the local server."""
    with Superserve(api_key=server.api_key, base_url=server.base_url) as client:
        yield client


@pytest.fixture
def connect(key):
    """Make clients for scripted servers, closed at the end of the test."""
    clients = []

    def connect(wire, **options):
        clients.append(Superserve(**{"api_key": key, "base_url": wire.url, **options}))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def scripted(serve, connect):
    """Connect to the template of a script."""

    def scripted(script, **options):
        wire = serve(script)
        # This call may take longer, on a busy machine.
        template = Template.connect(TEMPLATE_ID, client=connect(wire))
        return Template(template._info, client=connect(wire, **options)) if options else template

    return scripted


class Activations:
    """Gives out tokens, a new one each time, and counts them."""

    def __init__(self):
        self.count = 0

    def __call__(self, wake):
        self.count += 1
        return Access(f"{self.count:064x}")


@pytest.fixture
def box(serve, connect):
    """Make the handle of a sandbox on a scripted server; return both."""

    def box(*answers, **options):
        wire = serve(*answers)
        wire.activations = Activations()
        return handle(Sandbox, connect(wire, **options), wire.activations), wire

    return box


@pytest.fixture(autouse=True)
def _shared_clients():
    """Close the clients that calls without `client=` have left for each other."""
    yield
    while client_module._shared:
        client_module._shared.popitem()[1].close()


@pytest.fixture(autouse=True)
def _nothing_left(belongings):
    """Fail a test that leaves a thread or a socket behind."""
    yield
    assert belongings.left() == set()
