"""The command `superserve`, as `python -m superserve`."""

import sys

from superserve.cli import main

if __name__ == "__main__":
    sys.exit(main())
