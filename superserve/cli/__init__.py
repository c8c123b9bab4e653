"""The command `superserve`, of the extra `cli`. It uses public names only: a program can do the same."""

# Importing anything here would take longer than the rest of this module, and until `main` runs, Ctrl-C is a traceback.
TYPE_CHECKING = bool()  # noqa: UP018 - as in superserve/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NEEDED = "the command superserve needs an extra: pip install 'superserve-client[cli]'"


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command line, and return its exit code.

    Without arguments, those of this process are run, and Ctrl-C ends the process without a word while modules are loaded and
    after the command: nothing has begun, or all is done.
    """
    if arguments is not None:
        return _load()(arguments)
    try:
        import signal
        import sys

        before = signal.getsignal(signal.SIGINT)
        if before is not signal.default_int_handler:
            # As in a background job of a shell, which ignores Ctrl-C.
            return _load()(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        run = _load()
        signal.signal(signal.SIGINT, before)
        try:
            return run(sys.argv[1:])
        finally:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        return 130


def _load() -> "Callable[[Sequence[str]], int]":
    try:
        import click  # noqa: F401

        from superserve.cli._app import run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        return _say_what_is_needed
    return run


def _say_what_is_needed(_arguments: "Sequence[str]") -> int:
    import sys

    print(NEEDED, file=sys.stderr)  # noqa: T201 - there is nothing else to print with
    return 2
