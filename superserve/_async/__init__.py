"""What makes calls and waits: written by hand in `_async`, and from that by scripts/unasync.py in `_sync`."""
