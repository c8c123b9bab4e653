"""The clock that durations are measured by. Modules import it as `time`.

Libraries that freeze or move time in tests (freezegun, time-machine) replace `time.monotonic` wherever they find it: a
wait would never see its deadline. Connections are real there all the same, and so is the time that they take.
"""

import functools
import sys
import time

if sys.platform == "win32":
    monotonic = functools.partial(time.monotonic)
else:
    # What time.monotonic is made of: they leave it alone, even when this is imported after they began.
    monotonic = functools.partial(time.clock_gettime, getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC))
