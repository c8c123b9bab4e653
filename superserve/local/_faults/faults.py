"""Faults on demand: `server.faults`."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from superserve.local._app import arguments
from superserve.local._app.patterns import Operations, Pattern
from superserve.local._faults.build_faults import BuildFaults
from superserve.local._faults.outcomes import BuildFault
from superserve.local._faults.registry import Aim, Fault, Registry

if TYPE_CHECKING:
    from superserve.local._faults.effects import Effect
    from superserve.local._faults.request_faults import RequestFaults


class Faults:
    """Makes requests and builds fail: `server.faults`. It can be used from any thread.

    `on()` selects requests, `on_build()` builds. A method of their result says what goes wrong, sets the fault and returns
    it. A fault strikes the next matching request or build, unless `times` or `share` say otherwise. At most one fault
    strikes a request: of those that match and have strikes left, the one that was set first. Requests to `/_local/` are
    never struck.

    Faults end with `fault.remove()`, `clear()`, `server.reset()` and `server.stop()`. With the first two, a request that
    is already struck stays so until its client leaves. Wrong arguments raise ValueError or TypeError.

    Example:
        >>> from superserve.local import LocalServer
        >>> with LocalServer() as server:
        ...     fault = server.faults.on("GET /templates", times=2).answer(503, headers={"Retry-After": "0"})
        ...     found = Template.list(api_key=server.api_key, base_url=server.base_url)
        ...     fault.struck, server.requests.count("GET", "/templates")
        (2, 3)

    """

    def __init__(
        self, registry: Registry, operations: Operations, check: Callable[[], object] = lambda: None
    ) -> None:
        self._registry = registry
        self._operations = operations
        self._check = check

    def on(
        self,
        on: str,
        /,
        *,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
        optional: bool = False,
    ) -> "RequestFaults":
        """Select requests. A method of the result says what goes wrong with them.

        Args:
            on: A method and a path where a part in braces stands for any text (`GET /templates/{id}`), a path alone,
                an operation of the contract (`getTemplate`), or `*` for all.
            times: The most requests to strike, 1 or more. Default 1; with `share`, no limit.
            share: The probability for each request, more than 0 and at most 1. `share=1` strikes all.
            skip: The number of requests to skip first. Default 0.
            seed: Makes the random choices the same on every run, 0 or more. Default: derived from
                `LocalServer(seed=)`.
            optional: Whether the fault may never strike; see `missed`. Default False.

        """
        # Not needed at the start of the server.
        from superserve.local._faults.request_faults import RequestFaults

        self._registry.process.check()
        return RequestFaults(self._add, self._operations, on, Aim.read(times, share, skip, seed, optional))

    def on_build(
        self,
        template: str | None = None,
        *,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
        optional: bool = False,
    ) -> "BuildFaults":
        """Select builds that have not started yet. A method of the result says how they end.

        Args:
            template: Only builds of the template with this name or id. Default: any.
            times: The most builds to strike, 1 or more. Default 1; with `share`, no limit.
            share: The probability for each build, more than 0 and at most 1. `share=1` strikes all.
            skip: The number of builds to skip first. Default 0.
            seed: Makes the random choices the same on every run, 0 or more. Default: derived from
                `LocalServer(seed=)`.
            optional: Whether the fault may never strike; see `missed`. Default False.

        """
        if template is not None:
            arguments.check_text("template", template)
        self._registry.process.check()
        return BuildFaults(self._add, template, Aim.read(times, share, skip, seed, optional))

    @property
    def missed(self) -> list[Fault]:
        """The faults that never struck and are not optional, including removed ones, since the server's start or reset.

        A test with such a fault did not check what it is about. The pytest plugin makes it fail.
        """
        return self._registry.missed()

    def clear(self) -> None:
        """Remove all faults."""
        self._registry.clear()

    def __iter__(self) -> Iterator[Fault]:
        """Yield the faults that are not removed, including those without strikes left."""
        return iter(self._registry.faults())

    def __len__(self) -> int:
        return len(self._registry.faults())

    def __repr__(self) -> str:
        if self._registry.process.is_forked:
            return "<Faults of a server in another process>"
        return "<Faults>" + "".join(f"\n  {fault!r}" for fault in self)

    def _add(
        self,
        kind: str,
        target: "tuple[Pattern, Effect] | BuildFault",
        options: Mapping[str, object],
        aim: Aim,
    ) -> Fault:
        self._check()
        given = {**options, **aim.given}
        shown = {name: value for name, value in given.items() if value is not None and value is not False}
        return self._registry.add(kind, shown, target, aim)
