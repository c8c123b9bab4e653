"""Where an official SDK reports something else than ours, and why ours does what it does."""

SYNC, ASYNC, TYPESCRIPT = "Python", "Python, async", "TypeScript"
Reasons = dict[str, str]


def python(reason: str) -> Reasons:
    """Both Python classes differ for this reason."""
    return {SYNC: reason, ASYNC: reason}


def typescript(reason: str) -> Reasons:
    """Only the TypeScript SDK does."""
    return {TYPESCRIPT: reason}


def official(reason: str) -> Reasons:
    """All official SDKs do."""
    return {**python(reason), **typescript(reason)}


_CLIENT_SIDE = official("ours refuses it before it is sent, so there is no status")
_CONNECTS_TO_NOTHING = {
    **python("it asks for the list and breaks on the redirect; ours refuses such an id"),
    **typescript("ours refuses it before it is sent, so there is no status"),
}
_NO_SPAWN = "the official synchronous class has no spawn; ours has"
_MAKES_UP = official("it makes up a status; nothing was asked")
_OWN_CLASS = official("ours has a class of its own for it, below the official one")
_GOES_ON = official("it raises; ours connects again and goes on where the log was cut off")

EXPLAINED: dict[str, Reasons] = {
    "wait_until_ready: on_log": typescript(
        "it stops listening when the build is ready; ours reads the log to its end"
    ),
    "connect to an id with a slash": {
        **python("it asks another route and breaks on the answer; ours refuses such an id"),
        **typescript("ours refuses it before it is sent, so there is no status"),
    },
    "connect to nothing": _CONNECTS_TO_NOTHING,
    "stream_build_logs: callback raises": typescript(
        "it swallows the callback's error; ours is the caller's"
    ),
    "wait_until_ready: callback raises": official("it swallows the callback's error; ours is the caller's"),
    "list_builds: limit": official("the server ignores limit; ours cuts the list itself"),
    "cancel_build: wait_until_ready": official(
        "it makes up a status and a code; no answer of the server had them"
    ),
    "a failed build: stream_build_logs": python(
        "it doesn't know the stream `error`, which every failing build has"
    ),
    "a bad name": _CLIENT_SIDE,
    "steps as plain mappings": python("breaks in the official SDK; ours works"),
    "a step of two kinds": {
        **python("breaks in the official SDK; ours works"),
        **typescript("ours refuses it before it is sent, so there is no status"),
    },
    "a NUL in a command": _CLIENT_SIDE,
    "no key": _MAKES_UP,
    "a newer server: a status unknown so far": python(
        "it breaks on a status that it doesn't know; ours passes it on"
    ),
    "a log that is cut off: stream_build_logs": _GOES_ON,
    "nobody answers the call": _OWN_CLASS,
    "run: says whether output was cut": typescript("it leaves out what the server says of that"),
    "run: a folder that is not there": _OWN_CLASS,
    "run: nothing": _CLIENT_SIDE,
    "run: callback raises": typescript("it swallows the callback's error; ours is the caller's"),
    "spawn": {SYNC: _NO_SPAWN},
    "spawn: callbacks": {SYNC: _NO_SPAWN},
    "spawn: cwd and env": {SYNC: _NO_SPAWN},
    "spawn: kill": {SYNC: _NO_SPAWN},
    "spawn: kill with another signal": {SYNC: _NO_SPAWN},
    "spawn: close, then wait": {**_OWN_CLASS, SYNC: _NO_SPAWN},
    "spawn: timeout": {SYNC: _NO_SPAWN},
    "spawn: an unknown program": {SYNC: _NO_SPAWN},
    "spawn: a folder that is not there": {
        **official("it takes a command that did not start for one that ended well"),
        SYNC: _NO_SPAWN,
    },
    "spawn: callback raises": {
        SYNC: _NO_SPAWN,
        ASYNC: "it tells of a lost connection instead; ours is the caller's own error",
        TYPESCRIPT: "the error ends the whole program; ours is the caller's",
    },
    "spawn: in a paused sandbox": {SYNC: _NO_SPAWN},
    "files: none": _OWN_CLASS,
    "files: a relative path": _CLIENT_SIDE,
    "update: nothing": _CLIENT_SIDE,
    "preview: a port that is taken": {
        **python("ours refuses it before it is sent, so there is no status"),
        **typescript("it doesn't know the port that the machine itself takes"),
    },
    "kill: run": {
        SYNC: "ours says that the sandbox does not run",
        ASYNC: "it breaks, as it has closed its connections; ours says that the sandbox does not run",
        TYPESCRIPT: "ours says that the sandbox does not run",
    },
    "kill: get_info": python(
        "it refuses to ask after kill(); ours asks, and the server says that it is gone"
    ),
    "sandbox: connect to an unknown one": official(
        "connecting wakes a sandbox; ours says that it cannot be woken"
    ),
    "sandbox: without a name": _CLIENT_SIDE,
}

# Which of two things comes first decides it: now and then there is no difference.
MAY_AGREE = {"wait_until_ready: on_log"}
