"""Execute mode: builds whose steps are real processes on this machine.

A build gets a scratch folder and one process of ours, the agent, which runs the build's commands one after the other
and ends them all. The environment of a command is small and always the same: PATH, HOME, USER, TERM, LANG, SHELL (and
TMPDIR without bwrap), then the variables of env steps. It contains nothing from the server's own environment. The base
image is not pulled: programs are this machine's. User steps change names only: no step runs as another user, and neither
sudo nor su can switch users on Linux.

If bwrap works, a build sees the scratch folder as `/`. In it, /usr, /etc, /opt and the like are read-only; homes, /run
and other data of this machine are not visible. Working directories are where the template says (also /usr/src/app). The
only network is a loopback one that start_cmd and ready_cmd share.

Without bwrap, steps can do everything that the user who runs the server can do. The working directory /app is then the
folder `app` in the scratch folder: relative paths work as they should, but a command that names /app gets this machine's.

Time, output per command, processes per build and the size of a file (disk_mib) are limited; vcpu and memory_mib are
not applied. However a build ends, its processes get SIGTERM and after a second SIGKILL: on Linux all of them, including
daemons; elsewhere those that stay in their command's process group. If the server itself is killed, its agents end
the processes, and the next server removes the folders.
"""

from superserve.local._machines.processes.limits import Limits
from superserve.local._machines.processes.runner import ExecuteRunner

__all__ = ["ExecuteRunner", "Limits"]
