# Written by scripts/unasync.py from superserve/_async/__init__.py. Do not edit: change that, then run `nox -s generate`.
"""The methods that make calls and wait. They are written by hand in `_async`; scripts/unasync.py writes `_sync` from that."""
