"""Time limits for the parts of a build, and limits for its use of the machine."""

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
    """The limits of one build. The host limits its total time."""

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
    """Of one build at the same time."""

    def at_speed(self, speed: float) -> Self:
        """Return these limits with shorter waits. The limits of real work stay unchanged."""
        return attrs.evolve(
            self,
            start_wait_s=self.start_wait_s / speed,
            ready_s=self.ready_s / speed,
            probe_pause_s=self.probe_pause_s / speed,
        )

    def rlimits(self, disk_mib: int) -> dict[str, int]:
        """Return the kernel's limits for each process of a build, by the names of module resource.

        The number of processes is not among them: the kernel counts all processes of the user, also in other containers, so
        the agent counts its own. Memory and CPU are not limited: the limits of a virtual machine cannot be given to a single
        process (programs reserve far more addresses than they use), and the time limits always apply.
        """
        return {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": disk_mib << 20}
