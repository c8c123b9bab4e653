"""Access tokens of sandboxes, and routing hints."""

import base64
import hashlib
import hmac
import json
import secrets

from superserve.local._app.clock import Clock

_LIFE_S = 3600


class Tokens:
    """The access tokens of sandboxes. They are derived, not stored, as on the real server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seed = secrets.token_bytes(32)
        self._epoch = 0

    def of(self, sandbox_id: str, hours_ago: int = 0) -> str:
        """Return a sandbox's access token. It changes with each hour of the server's clock."""
        hour = int(self._clock.steady().timestamp() * self._clock.speed // _LIFE_S) - hours_ago + self._epoch
        return hmac.new(self._seed, f"{sandbox_id}|{hour}".encode(), hashlib.sha256).hexdigest()

    def open(self, sandbox_id: str, token: str) -> bool:
        """Whether a token is valid for a sandbox: the token of this hour or of the last one."""
        given = token.encode()
        return any(hmac.compare_digest(self.of(sandbox_id, ago).encode(), given) for ago in (0, 1))

    def expire(self) -> None:
        """Refuse all tokens issued so far."""
        self._epoch += 2

    def hint(self, sandbox_id: str, life_s: float) -> str:
        """Return a routing hint. It is optional, and has an expiry that clients look at."""
        expiry = int(self._clock.now().timestamp() + self._clock.real(life_s))
        claims = base64.urlsafe_b64encode(json.dumps({"s": sandbox_id, "e": expiry}).encode())
        return f"h1.{claims.decode().rstrip('=')}.{self.of(sandbox_id)[:16]}"
