"""Execute mode: builds whose steps are real processes on this machine.

A build gets a scratch folder and one process of ours, the agent, which runs the build's commands one after the other
and ends them all. What else a command gets is small and always the same: PATH, HOME, USER, TERM, LANG, SHELL (and
TMPDIR without bwrap), then what the env steps say; nothing of the server's own environment. The base image is not
pulled, programs are this machine's, and user steps change names only: no other user is ever switched to, and neither
sudo nor su can do so on Linux.

Where bwrap works, a build sees the scratch folder as `/`. In it are /usr, /etc, /opt and the like, read-only; homes,
/run and other data of this machine are not there. Working directories are where the template says (also /usr/src/app).
There is no network but a loopback one that start_cmd and ready_cmd share.

Where it doesn't, steps can do all that the user who runs the server can do. The working directory /app is then the
folder `app` of the scratch folder: relative paths work as they should, a command that names /app gets this machine's.

Time, output per command, processes per build and the size of a file (disk_mib) are limited; vcpu and memory_mib are
not applied. However a build ends, its processes get SIGTERM and after a second SIGKILL: on Linux all of them, also
daemons; elsewhere those that stay in their command's process group. If the server itself is killed, its agents end
the processes, and the next server removes the folders.
"""

from superserve.local._machines.processes.limits import Limits
from superserve.local._machines.processes.runner import ExecuteRunner

__all__ = ["ExecuteRunner", "Limits"]
