# Written by scripts/unasync.py from superserve/_async/client.py. Do not edit: change that, then run `nox -s generate`.
"""The client: API key, addresses, connections, timeouts and retries in one object."""

import sys
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, ParamSpec, Self, TypeVar

import httpx
from superserve_api.models import ApiError
from superserve_api.types import Response

from superserve import _config
from superserve._config import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT_S, Config
from superserve._http import policy, responses
from superserve._http.connections_sync import Connections
from superserve._http.environment import Proxy
from superserve._http.gate import Gate
from superserve._http.planes import Plane, control_plane
from superserve._http.policy import Options
from superserve._http.pools import PoolMaker
from superserve._http.raw import RawClient
from superserve._operations.operation import Operation
from superserve._sync.http import HTTPClient
from superserve.errors import SandboxConnectionError, SandboxError, ValidationError

if TYPE_CHECKING:
    from superserve._sync.sandboxes import Sandboxes
    from superserve._sync.templates import Templates

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Send = Callable[P, Response[R]]
"""A generated function."""


class Superserve:
    """A client for one team, shared by everything that uses it.

    Pass it as `client=` to the class methods. Without it they share one client for each key and address. A client is a
    context manager. It may be used in several event loops; each one has connections of its own.

    Args:
        api_key: The API key. Default: the environment variable SUPERSERVE_API_KEY.
        base_url: The API's address. Default: SUPERSERVE_BASE_URL, else the address of the key's region, else
            `https://api.superserve.ai`.
        sandbox_url: The address of sandboxes (the data plane), or its host. Default: SUPERSERVE_SANDBOX_URL, else the
            address that belongs to `base_url`, else `base_url` itself.
        timeout_s: Seconds for a whole call, retries and the pauses between them included; more than 0. Default 30.
        max_attempts: How often a GET or DELETE is sent when the server is busy (429, 502, 503, 504) or the connection
            breaks, at least 1. A POST is sent once. Default 3.

    Raises:
        AuthenticationError: There is no API key.
        ValidationError: A setting is blank or malformed, or the key names an unknown region.
        SandboxError: The environment names a proxy or certificates that cannot be used.

    Example:
        >>> from superserve import Superserve, Template
        >>> with Superserve(timeout_s=10) as client:
        ...     template = Template.create(name="my-env", from_="python:3.11", client=client)
        ...     print([info.name for info in Template.list(name_prefix="my-", client=client)])
        ['my-env']
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    ) -> None:
        # Load now what calls need: later there may be no free file descriptor.
        import superserve._sync.sandboxes
        import superserve._sync.templates  # noqa: F401

        self._config = _config.resolve(
            api_key, base_url, sandbox_url=sandbox_url, timeout_s=timeout_s, max_attempts=max_attempts
        )
        self._plane = control_plane(self._config)
        self._pool_maker = PoolMaker(self._plane.base_url)
        self._connections = Connections(self._pool_maker.make_sync)
        self._http = HTTPClient(
            self._plane, self._connections, Options(self._config.timeout_s, self._config.max_attempts)
        )
        # Sandboxes have connections and a gate of their own, so that neither plane delays the other.
        self._sandbox_pool_maker = PoolMaker(self._config.sandbox_url, self._pool_maker.certificates)
        self._sandbox_connections = Connections(self._sandbox_pool_maker.make_sync, policy.COMMANDS_AT_ONCE)
        self._sandbox_gate = Gate()
        self._raw = RawClient(self._plane, http=self._http)

    def __repr__(self) -> str:
        config: Config | None = getattr(self, "_config", None)
        # A debugger may call this before __init__ has set the config.
        return f"<{type(self).__name__} {config.base_url if config else 'without settings'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled or copied: it holds a key and connections; make one in each "
            "process, and pass ids between processes, not handles"
        )

    @property
    def base_url(self) -> str:
        """The API's address, without a slash at the end."""
        return self._config.base_url

    @property
    def sandbox_url(self) -> str:
        """The address of sandboxes, without a slash at the end."""
        return self._config.sandbox_url

    @property
    def timeout_s(self) -> float:
        """Seconds for a whole call."""
        return self._config.timeout_s

    @property
    def max_attempts(self) -> int:
        """How often a GET or DELETE is sent at most."""
        return self._config.max_attempts

    @property
    def templates(self) -> "Templates":
        """The team's templates: the class methods of `Template`, through this client."""
        from superserve._sync.templates import Templates

        return Templates(self)

    @property
    def sandboxes(self) -> "Sandboxes":
        """The team's sandboxes: the class methods of `Sandbox`, through this client."""
        from superserve._sync.sandboxes import Sandboxes

        return Sandboxes(self)

    @property
    def raw(self) -> RawClient:
        """The generated client `superserve_api`, with this client's key, address, connections and retries.

        Its functions raise httpx's errors, not those of this package.
        """
        return self._raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Later calls are refused."""
        # In this order: `_exchange` looks at these first, to tell a closed client from a broken connection.
        self._connections.close()
        self._sandbox_connections.close()

    def _call(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a generated function of the control plane, and return the value of its answer."""
        return self._exchange(partial(send, *args, **kwargs), operation, self._plane, self._pool_maker.proxy)

    def _exchange(
        self, send: Send[[], ApiError | R], operation: Operation[R, T], plane: Plane, proxy: Proxy | None
    ) -> T:
        """Make a call on one of the planes. All calls go through here."""
        options = operation.options or Options(
            self._config.timeout_s + operation.extra_time_s,
            self._config.max_attempts if operation.is_repeatable else 1,
        )
        action = plane.redactor.hide(operation.action)
        handled = sys.exception()
        try:
            with policy.use_options(options):
                response = send()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if self._connections.is_closed:
                raise SandboxError("this client was closed during the call", action=action) from error
            raise responses.failure(
                operation, error, plane, timeout_s=options.timeout_s, proxy=proxy, handled=handled
            ) from error
        except BaseException as error:
            if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno is not None):
                # This machine is out of a resource, or broken. An OSError raised by a signal handler has no number.
                raise SandboxConnectionError(f"{type(error).__name__}: {error}", action=action) from error
            # An interrupt: the server may have acted, so the error needs a hint.
            if operation.if_lost:
                hint = plane.redactor.hide(operation.if_lost)
                error.add_note(hint[0].upper() + hint[1:])
            raise
        return responses.result(operation, response, plane)


# For programs with one key per customer. A client that drops out of the cache closes its connections after its last use.
_MOST_SHARED: Final = 64
_shared: dict[Config, Superserve] = {}


def client_for(
    client: Superserve | None,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    sandbox_url: str | None = None,
) -> Superserve:
    """Return the given client, or the shared one for this key and address."""
    if client is None:
        config = _config.resolve(api_key, base_url, sandbox_url=sandbox_url)
        shared = _shared.get(config)
        # setdefault is atomic: all threads get the same client.
        if shared is None:
            shared = _shared.setdefault(
                config,
                Superserve(api_key=config.api_key, base_url=config.base_url, sandbox_url=config.sandbox_url),
            )
            for oldest in list(_shared)[:-_MOST_SHARED]:
                _shared.pop(oldest, None)
        return shared
    if not isinstance(client, Superserve):
        raise ValidationError(f"client: expected Superserve, got {type(client).__name__}")
    if api_key is not None or base_url is not None or sandbox_url is not None:
        raise ValidationError(
            "client: has a key and addresses already; leave api_key, base_url and sandbox_url out"
        )
    return client


def forget_shared(api_key: str) -> None:
    """Drop the shared clients of a key. Each closes its connections after its last use."""
    for config in [config for config in _shared if config.api_key == api_key]:
        del _shared[config]
