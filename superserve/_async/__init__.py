"""The methods that make calls and wait. `_async` is written by hand; scripts/unasync.py writes `_sync` from it."""
