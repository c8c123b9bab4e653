"""How long a build's parts may take, and how much of the machine it may use."""

from typing import Self

import attrs

from superserve.local._machines.jobs import (
    READY_CMD_LIMIT_S,
    READY_PROBE_LIMIT_S,
    READY_PROBE_PAUSE_S,
    START_CMD_WAIT_S,
    STEP_LIMIT_S,
)


@attrs.frozen
class Limits:
    """Limits of one build; the time for the whole of it is the host's to limit."""

    boot_s: float = 30.0
    step_s: float = STEP_LIMIT_S
    start_wait_s: float = START_CMD_WAIT_S
    ready_s: float = READY_CMD_LIMIT_S
    probe_s: float = READY_PROBE_LIMIT_S
    probe_pause_s: float = READY_PROBE_PAUSE_S
    grace_s: float = 1.0
    """From SIGTERM to SIGKILL."""
    output_bytes: int = 16 << 20
    """Of one command, stdout and stderr together."""
    processes: int = 512
    """Of one build at a time."""

    def at_speed(self, speed: float) -> Self:
        """Return these limits with the mere waits made shorter; what real work may take stays as it is."""
        return attrs.evolve(
            self,
            start_wait_s=self.start_wait_s / speed,
            ready_s=self.ready_s / speed,
            probe_pause_s=self.probe_pause_s / speed,
        )

    def rlimits(self, disk_mib: int) -> dict[str, int]:
        """Return what each process of a build is limited to by the kernel, by the names of module resource.

        Not their number: the kernel counts all that the user has, in other containers too, so the agent counts its own.
        Memory and CPU are not limited: what a virtual machine of that size could do can't be said for one process
        (programs reserve far more addresses than they use), and the time limits hold in any case.
        """
        return {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": disk_mib << 20}
