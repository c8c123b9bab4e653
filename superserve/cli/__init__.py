"""The command `superserve`, of the extra `cli`. It uses public names only: a program can do the same."""

import sys
from collections.abc import Sequence

NEEDED = "the command superserve needs an extra: pip install 'superserve-client[cli]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    try:
        import click  # noqa: F401

        from superserve.cli._app import run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(NEEDED, file=sys.stderr)  # noqa: T201 - there is nothing else to print with
        return 2
    except KeyboardInterrupt:
        # Ctrl-C may come before there is anything to interrupt.
        return 130
    return run(sys.argv[1:] if arguments is None else list(arguments))
