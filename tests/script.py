"""A scripted API of one template and its build: each kind of request is answered from a list of its own.

    script = Script(build=["building", "ready"], logs=[cut(log(...)[:100]), log(...)])
    wire = serve(script)

The last answer of a list is repeated for ever. A status such as "building" stands for the row of a build.
"""

import threading
from collections.abc import Iterable

from tests.wire import Answer, Peer, Request, envelope, reply

TEMPLATE_ID = "7a3f2b8c-1234-4c50-8888-8dd25736052a"
BUILD_ID = "0c1f9e77-5678-4e21-9999-1b2c3d4e5f60"
LINE: dict[str, object] = {
    "timestamp": "2026-05-01T10:00:01Z",
    "stream": "stdout",
    "text": "hello",
    "finished": False,
    "status": "",
}
"""One event of a log."""

KINDS = ("template", "builds", "rebuild", "build", "cancel", "logs")


def template_row(status: str = "ready", **fields: object) -> dict[str, object]:
    return {
        "id": TEMPLATE_ID,
        "team_id": "11111111-2222-4333-8444-555555555555",
        "name": "my-env",
        "status": status,
        "vcpu": 1,
        "memory_mib": 1024,
        "disk_mib": 4096,
        "created_at": "2026-05-01T10:00:00Z",
        **fields,
    }


def build_row(status: str, **fields: object) -> dict[str, object]:
    return {
        "id": BUILD_ID,
        "template_id": TEMPLATE_ID,
        "status": status,
        "build_spec_hash": "ab" * 32,
        "created_at": "2026-05-01T10:00:00Z",
        **fields,
    }


class Script:
    """The answers; an `Answer` for `Wire`.

    Attributes:
        seen: The kinds of the requests that came, in order.
        paths: Their paths.
    """

    def __init__(self, **answers: Iterable[Answer | str]) -> None:
        self.seen: list[str] = []
        self.paths: list[str] = []
        self._lock = threading.Lock()
        self._answers: dict[str, list[Answer]] = {
            "template": [reply(json=template_row(latest_build_id=BUILD_ID))],
            "builds": [reply(json=[build_row("building")])],
            "rebuild": [reply(201, json=build_row("pending"))],
            "build": [_answer("ready")],
            "cancel": [reply(204)],
            "logs": [reply(404, json=envelope("not_found", "Build not found"))],
        }
        self.then(**answers)

    def then(self, **answers: Iterable[Answer | str]) -> None:
        """Forget what is left of these lists, and answer like this from now on."""
        with self._lock:
            for kind, given in answers.items():
                assert kind in KINDS
                self._answers[kind] = [_answer(answer) for answer in given]

    def count(self, kind: str) -> int:
        return self.seen.count(kind)

    def __call__(self, peer: Peer, request: Request) -> None:
        with self._lock:
            kind = _kind(request)
            self.seen.append(kind)
            self.paths.append(request.path)
            answers = self._answers[kind]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, bytes):
            peer.send(answer)
        else:
            answer(peer, request)


def _answer(answer: Answer | str) -> Answer:
    return reply(json=build_row(answer)) if isinstance(answer, str) else answer


def _kind(request: Request) -> str:
    match [request.method, *request.path.split("/")[3:]]:
        case ["GET"]:
            return "template"
        case ["GET", "builds"]:
            return "builds"
        case ["POST", "builds"]:
            return "rebuild"
        case ["GET", "builds", _]:
            return "build"
        case ["DELETE", "builds", _]:
            return "cancel"
        case ["GET", "builds", _, "logs"]:
            return "logs"
    raise AssertionError(f"not in the script: {request.method} {request.path}")
