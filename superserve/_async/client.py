"""The client: key, address, connections, timeouts and retries, in one object."""

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, ParamSpec, Self, TypeVar

import httpx
from superserve_api.models import ApiError
from superserve_api.types import Response

from superserve import _config
from superserve._async.http import AsyncHTTPClient
from superserve._config import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT_S, Config
from superserve._http import policy, responses
from superserve._http.connections_async import Connections
from superserve._http.environment import Proxy
from superserve._http.gate import Gate
from superserve._http.planes import Plane, control_plane
from superserve._http.policy import Options
from superserve._http.pools import PoolMaker
from superserve._http.raw import RawClient
from superserve._operations.operation import Operation
from superserve.errors import SandboxConnectionError, SandboxError, ValidationError

if TYPE_CHECKING:
    from superserve._async.sandboxes import AsyncSandboxes
    from superserve._async.templates import AsyncTemplates

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Send = Callable[P, Awaitable[Response[R]]]
"""A generated function."""


class AsyncSuperserve:
    """A connection to Superserve, to be shared by everything that talks to the same team.

    Every factory takes it as `client=`; without one they share a client for the same key and address. It may be used
    from several event loops, each of which gets connections of its own, and as a context manager.

    Args:
        api_key: The key; by default that of the environment variable SUPERSERVE_API_KEY.
        base_url: The API's address; by default SUPERSERVE_BASE_URL, else what the region in the key says, else
            `https://api.superserve.ai`.
        sandbox_url: Where sandboxes are reached; by default SUPERSERVE_SANDBOX_URL, else what belongs to the API's
            address, else that address itself. A host alone will do.
        timeout_s: Seconds that a whole call may take, repetitions and the waits between them included; more than 0.
            Default 30.
        max_attempts: How often a GET or DELETE is tried when the server is busy (429, 502, 503, 504) or the
            connection breaks, at least 1. A POST is sent once. Default 3.

    Raises:
        AuthenticationError: There is no API key.
        ValidationError: A setting is blank or malformed, or the key names a region that is not known.
        SandboxError: The environment names a proxy or certificates that cannot be used.

    Example:
        >>> from superserve import AsyncSuperserve, AsyncTemplate
        >>> async with AsyncSuperserve(timeout_s=10) as client:
        ...     template = await AsyncTemplate.create(name="my-env", from_="python:3.11", client=client)
        ...     print([info.name for info in await AsyncTemplate.list(name_prefix="my-", client=client)])
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
        # What calls need is loaded by now: later there may be no file descriptor left for it.
        import superserve._async.sandboxes
        import superserve._async.templates  # noqa: F401

        self._config = _config.resolve(
            api_key, base_url, sandbox_url=sandbox_url, timeout_s=timeout_s, max_attempts=max_attempts
        )
        self._plane = control_plane(self._config)
        self._pool_maker = PoolMaker(self._plane.base_url)
        self._connections = Connections(self._pool_maker.make_async)
        self._http = AsyncHTTPClient(
            self._plane, self._connections, Options(self._config.timeout_s, self._config.max_attempts)
        )
        # Of what goes on in sandboxes: connections and pace of its own, so that neither plane holds up the other.
        self._sandbox_pool_maker = PoolMaker(self._config.sandbox_url, self._pool_maker.certificates)
        self._sandbox_connections = Connections(self._sandbox_pool_maker.make_async, policy.COMMANDS_AT_ONCE)
        self._sandbox_gate = Gate()
        self._raw = RawClient(self._plane, async_http=self._http)

    def __repr__(self) -> str:
        config: Config | None = getattr(self, "_config", None)
        # Shown by debuggers, it may not have got its settings yet.
        return f"<{type(self).__name__} {config.base_url if config else 'without settings'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled or copied: it holds a key and connections; make one in each "
            "process, and pass on ids of templates, not templates"
        )

    @property
    def base_url(self) -> str:
        """The API's address, without a slash at its end."""
        return self._config.base_url

    @property
    def sandbox_url(self) -> str:
        """Where sandboxes are reached, without a slash at its end."""
        return self._config.sandbox_url

    @property
    def timeout_s(self) -> float:
        """Seconds that a whole call may take."""
        return self._config.timeout_s

    @property
    def max_attempts(self) -> int:
        """How often a GET or DELETE is tried."""
        return self._config.max_attempts

    @property
    def templates(self) -> "AsyncTemplates":
        """The team's templates: what `AsyncTemplate` has as class methods, through this client."""
        from superserve._async.templates import AsyncTemplates

        return AsyncTemplates(self)

    @property
    def sandboxes(self) -> "AsyncSandboxes":
        """The team's sandboxes: what `AsyncSandbox` has as class methods, through this client."""
        from superserve._async.sandboxes import AsyncSandboxes

        return AsyncSandboxes(self)

    @property
    def raw(self) -> RawClient:
        """The generated client `superserve_api`, set up like this one: same key, address, connections and retries.

        Its functions raise httpx's own errors, not those of this package.
        """
        return self._raw

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Further calls are refused."""
        await self._sandbox_connections.aclose()
        await self._connections.aclose()

    async def _call(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a generated function of the control plane and return what its answer says."""
        return await self._exchange(
            partial(send, *args, **kwargs), operation, self._plane, self._pool_maker.proxy
        )

    async def _exchange(
        self, send: Send[[], ApiError | R], operation: Operation[R, T], plane: Plane, proxy: Proxy | None
    ) -> T:
        """Make a call on one of the planes: the one door through which all calls go."""
        options = operation.options or Options(
            self._config.timeout_s + operation.extra_time_s,
            self._config.max_attempts if operation.is_repeatable else 1,
        )
        action = plane.redactor.hide(operation.action)
        handled = sys.exception()
        try:
            with policy.applying(options):
                response = await send()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if self._connections.is_closed:
                raise SandboxError("this client was closed during the call", action=action) from error
            raise responses.failure(
                operation, error, plane, timeout_s=options.timeout_s, proxy=proxy, handled=handled
            ) from error
        except BaseException as error:
            if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno is not None):
                # Something of this machine is used up or broken. What a signal handler raises has no number.
                raise SandboxConnectionError(f"{type(error).__name__}: {error}", action=action) from error
            # An interrupt: who hears of it has to know that the server may have acted.
            if operation.if_lost:
                hint = plane.redactor.hide(operation.if_lost)
                error.add_note(hint[0].upper() + hint[1:])
            raise
        return responses.result(operation, response, plane)


# Of a program that has a key for each of its customers: those forgotten close their connections when the last who uses
# them is done.
_MOST_SHARED: Final = 64
_shared: dict[Config, AsyncSuperserve] = {}


def client_for(
    client: AsyncSuperserve | None,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    sandbox_url: str | None = None,
) -> AsyncSuperserve:
    """Return the client given, or the one that all share who name the same key and address."""
    if client is None:
        config = _config.resolve(api_key, base_url, sandbox_url=sandbox_url)
        shared = _shared.get(config)
        # Whoever comes first, all get the same one: setdefault is a single step.
        if shared is None:
            shared = _shared.setdefault(
                config,
                AsyncSuperserve(
                    api_key=config.api_key, base_url=config.base_url, sandbox_url=config.sandbox_url
                ),
            )
            for oldest in list(_shared)[:-_MOST_SHARED]:
                _shared.pop(oldest, None)
        return shared
    if not isinstance(client, AsyncSuperserve):
        raise ValidationError(f"client: expected AsyncSuperserve, got {type(client).__name__}")
    if api_key is not None or base_url is not None or sandbox_url is not None:
        raise ValidationError(
            "client: has a key and an address already; leave api_key, base_url and sandbox_url out"
        )
    return client


def forget_shared(api_key: str) -> None:
    """Forget the shared clients of a key; their connections are closed when the last who uses them is done."""
    for config in [config for config in _shared if config.api_key == api_key]:
        del _shared[config]
