"""Access tokens of sandboxes, and routing hints."""

import base64
import hashlib
import hmac
import json
import secrets

from superserve.local._app.clock import Clock

_LIFE_S = 3600


class Tokens:
    """What opens sandboxes: derived and not stored, as on the real server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seed = secrets.token_bytes(32)
        self._epoch = 0

    def of(self, sandbox_id: str, hours_ago: int = 0) -> str:
        """Return a sandbox's access token: the same for everybody within an hour of the server's clock."""
        hour = int(self._clock.steady().timestamp() * self._clock.speed // _LIFE_S) - hours_ago + self._epoch
        return hmac.new(self._seed, f"{sandbox_id}|{hour}".encode(), hashlib.sha256).hexdigest()

    def open(self, sandbox_id: str, token: str) -> bool:
        """Whether a token opens a sandbox: this hour's and the last one's do."""
        given = token.encode()
        return any(hmac.compare_digest(self.of(sandbox_id, ago).encode(), given) for ago in (0, 1))

    def expire(self) -> None:
        """Refuse all tokens that were given out."""
        self._epoch += 2

    def hint(self, sandbox_id: str) -> str:
        """Return a routing hint: advice only, with an expiry that clients look at."""
        expiry = int(self._clock.now().timestamp() + self._clock.real(_LIFE_S))
        claims = base64.urlsafe_b64encode(json.dumps({"s": sandbox_id, "e": expiry}).encode())
        return f"h1.{claims.decode().rstrip('=')}.{self.of(sandbox_id)[:16]}"
