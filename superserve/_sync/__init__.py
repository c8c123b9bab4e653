# Written by scripts/unasync.py from superserve/_async/__init__.py. Do not edit: change that, then run `nox -s generate`.
"""What makes calls and waits: written by hand in `_async`, and from that by scripts/unasync.py in `_sync`."""
