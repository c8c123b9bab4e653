# Written by scripts/unasync.py from tests/client/_async/test_sandbox_errors.py. Do not edit: change that, then run `nox -s generate`.
"""What people read when something goes wrong with a sandbox, from the first word to the last."""

import pytest

from superserve import SandboxError
from tests.talk import SANDBOX_ID
from tests.wire import envelope, reply

pytestmark = pytest.mark.usefixtures("no_backoff")

BOX = f"sandbox {SANDBOX_ID}"
MAY_HAVE_RUN = (
    "it may have run, in part or completely, and is not sent again; "
    "get_info() shows whether the sandbox was paused or is gone"
)
MAY_BE_WRITTEN = (
    "'/x' may have the new content, the old content, a part of it, or be gone; check it, or write it again"
)
OOPS = reply(500, json=envelope("internal_error", "oops"))
UNREACHABLE = reply(502, "sandbox unreachable\n", content_type="text/plain")


def test_every_operation_on_a_sandbox_says_what_was_not_done_and_what_may_be(box):
    for call, text in (
        (lambda it: it.get_info(), f"could not get {BOX}: oops [500 internal_error]"),
        (
            lambda it: it.update(metadata={}),
            (
                f"could not update {BOX}: oops [500 internal_error]; some of it may be changed; "
                "update() again is safe"
            ),
        ),
        (
            lambda it: it.pause(),
            f"could not pause {BOX}: oops [500 internal_error]; it may be paused; get_info() shows its status",
        ),
        (
            lambda it: it.resume(),
            f"could not resume {BOX}: oops [500 internal_error]; it may be active; get_info() shows its status",
        ),
        (
            lambda it: it.activate(),
            (
                f"could not activate {BOX}: oops [500 internal_error]; it may be active; get_info() shows its status"
            ),
        ),
        (
            lambda it: it.kill(),
            f"could not kill {BOX}: oops [500 internal_error]; it may still run; kill() again",
        ),
    ):
        sandbox, _ = box(OOPS)
        with pytest.raises(SandboxError) as caught:
            call(sandbox)
        assert str(caught.value) == text


def test_every_operation_in_a_sandbox_says_what_was_not_done_and_what_may_be(box):
    for call, text in (
        (
            lambda it: it.commands.run("x"),
            f"could not run 'x' in {BOX}: sandbox unreachable [502]; {MAY_HAVE_RUN}",
        ),
        (
            lambda it: it.commands.run("x", timeout_seconds=99),
            f"could not run 'x' in {BOX}: sandbox unreachable [502]; {MAY_HAVE_RUN}",
        ),
        (lambda it: it.commands.spawn("x"), f"could not run 'x' in {BOX}: sandbox unreachable [502]"),
        (lambda it: it.files.read("/x"), f"could not read '/x' of {BOX}: sandbox unreachable [502]"),
        (
            lambda it: it.files.write("/x", ""),
            f"could not write '/x' of {BOX}: sandbox unreachable [502]; {MAY_BE_WRITTEN}",
        ),
        (
            lambda it: it.files.remove("/x"),
            f"could not run 'rm' in {BOX}: sandbox unreachable [502]; {MAY_HAVE_RUN}",
        ),
    ):
        sandbox, _ = box(UNREACHABLE)
        with pytest.raises(SandboxError) as caught:
            call(sandbox)
        assert str(caught.value) == text
