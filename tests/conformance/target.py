"""The server that is tried: a local one, or any other at a base URL; and a client that treats it politely."""

import json
import os
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import httpx

T = TypeVar("T")

# Small and without a package manager's work to do, so that a real server builds it soon.
BASE_IMAGE = "debian:12-slim"
# How many requests a second a server has to bear that is somebody else's.
POLITE_RATE = 4.0
RATE_LIMITED_TRIES = 10


@attrs.frozen
class Target:
    """A server, and what may be asked of it."""

    base_url: str
    api_key: str = attrs.field(repr=False)
    other_api_key: str | None = attrs.field(repr=False)
    """The key of a second team."""
    speed: float = 1.0
    """How many times faster than real servers it is. A local one may be; it isn't treated with care then."""
    is_local: bool = False
    run: str = attrs.field(factory=lambda: secrets.token_hex(4))
    """Makes the names of this run unlike those of all others."""

    @classmethod
    def elsewhere(cls) -> "Target | None":
        """Return the server that the environment names, if it does."""
        base_url = os.environ.get("CONFORMANCE_BASE_URL")
        if not base_url:
            return None
        return cls(
            base_url=base_url.rstrip("/"),
            api_key=os.environ["CONFORMANCE_API_KEY"],
            other_api_key=os.environ.get("CONFORMANCE_OTHER_API_KEY"),
            speed=float(os.environ.get("CONFORMANCE_SPEED", "1")),
        )

    @property
    def patience_s(self) -> float:
        """How long a build may take."""
        return max(900.0 / self.speed, 60.0)

    def long_command(self, longer: int = 1) -> str:
        """Return a command that outlasts a dozen requests."""
        return "sleep 30" if self.speed == 1 else f"sleep {longer * self.speed:.0f}"

    def client(self, api_key: str | None) -> "PoliteClient":
        """Return a client with a key, or without one."""
        return PoliteClient(self.base_url, api_key, rate=POLITE_RATE if self.speed == 1 else 0)

    def until(self, look: Callable[[], T | None]) -> T:
        """Look until there is something to see, and return it."""
        end = time.monotonic() + self.patience_s
        pause = 2.0 / self.speed
        while (seen := look()) is None:
            assert time.monotonic() < end, f"nothing after {self.patience_s:.0f} s"
            time.sleep(pause)
        return seen


class PoliteClient(httpx.Client):
    """Sends a key and nothing else that the server could look at; on a server elsewhere it takes its time."""

    def __init__(self, base_url: str, api_key: str | None, *, rate: float = 0) -> None:
        super().__init__(
            base_url=base_url,
            headers={"X-API-Key": api_key} if api_key else {},
            # Deleting a template may take the server half a minute.
            timeout=60,
            # Loading certificates takes longer than most tests, and a local server has no need of them.
            verify=rate > 0,
            trust_env=rate > 0,
        )
        self._pause_s = 1 / rate if rate else 0.0
        self._next = 0.0

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request when its time has come, and again when it came too soon."""
        for _ in range(RATE_LIMITED_TRIES):
            now = time.monotonic()
            time.sleep(max(0.0, self._next - now))
            self._next = max(now, self._next) + self._pause_s
            answer = super().send(request, **options)
            # A team at a quota gets a 429 as well, and is not told to wait.
            if not self._pause_s or answer.status_code != 429 or "retry-after" not in answer.headers:
                break
            answer.close()
            self._next = time.monotonic() + float(answer.headers["retry-after"])
        return answer


@attrs.frozen
class Made:
    """A template that a test made, and its first build."""

    name: str
    id: str
    build_id: str
    answer: dict[str, Any]

    @property
    def path(self) -> str:
        """The template's path."""
        return f"/templates/{self.id}"

    @property
    def build_path(self) -> str:
        """The path of its first build."""
        return f"{self.path}/builds/{self.build_id}"


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an error, whose form is checked."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8", answer.text
    envelope = answer.json()
    assert envelope.keys() == {"error"}
    assert envelope["error"]["message"]
    return answer.status_code, envelope["error"]["code"]


def message_of(answer: httpx.Response) -> str:
    """Return the message of an error."""
    message = answer.json()["error"]["message"]
    assert isinstance(message, str)
    return message


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the events of a log, whose framing is checked."""
    assert answer.status_code == 200, answer.text
    frames = answer.content.decode().split("\n\n")
    assert frames.pop() == ""
    assert all(frame.startswith("data: {") and "\n" not in frame for frame in frames)
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


BAD = (400, "bad_request")
KEYLESS = (401, "auth_failed")
NOT_FOUND = (404, "not_found")
CONFLICT = (409, "conflict")
