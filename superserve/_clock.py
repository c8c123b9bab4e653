"""The clock for durations. Modules import it as `time`.

Test libraries that freeze or move time (freezegun, time-machine) replace `time.monotonic` wherever they find it. Then a
wait would never reach its deadline, although connections in such tests take real time.
"""

import functools
import sys
import time

if sys.platform == "win32":
    monotonic = functools.partial(time.monotonic)
else:
    # The function behind time.monotonic. Those libraries do not replace it, even if this module is imported later.
    monotonic = functools.partial(time.clock_gettime, getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC))
