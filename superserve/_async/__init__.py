"""The methods that make calls and wait. They are written by hand in `_async`; scripts/unasync.py writes `_sync` from that."""
