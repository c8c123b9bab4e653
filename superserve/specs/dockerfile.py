"""Dockerfiles as specs. No other module uses the parser of the extra `dockerfile`.

An instruction with the same meaning in a spec is converted. One without a meaning for templates is left out, with a
warning. All others are refused: all at once, each with its line and what to do instead.
"""

import base64
import gzip
import io
import posixpath
import shlex
import tarfile
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from superserve import _arguments
from superserve.errors import SpecError
from superserve.specs import _canonical
from superserve.specs._files import read
from superserve.specs._places import Place
from superserve.specs._problems import SpecProblem
from superserve.specs._spec import TemplateSpec
from superserve.types import EnvStep, EnvStepValue, RunStep, UserStep, UserStepValue, WorkdirStep

if TYPE_CHECKING:
    from e2b_dockerfile_utils import DockerfileInstruction

_SHELL: Final = ["/bin/sh", "-c"]
_NO_MEANING: Final = {
    "EXPOSE": "every port of a sandbox can be reached",
    "LABEL": "templates have no labels",
    "MAINTAINER": "templates have no labels",
    "STOPSIGNAL": "templates are not stopped by a signal",
    "VOLUME": "in a sandbox it is an ordinary folder",
}
_COPY_FLAGS: Final = ("chown", "chmod", "link")
_ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tbz2")
_LARGEST_COPY: Final = 4 * 2**20


@attrs.frozen
class Imported:
    """The result of importing a Dockerfile."""

    spec: TemplateSpec
    warnings: tuple[SpecProblem, ...] = ()
    """What was left out, and why."""


def load(path: str | PathLike[str], *, name: str | None = None) -> TemplateSpec:
    """Return the spec of a Dockerfile. `read_dockerfile` also returns what was left out."""
    return read_dockerfile(path, name=name).spec


def read_dockerfile(
    path: str | PathLike[str], *, name: str | None = None, args: Mapping[str, str] | None = None
) -> Imported:
    """Read a Dockerfile. Its folder is the context of COPY.

    Args:
        path: The file.
        name: The template's name. Default: the folder's name.
        args: Values of ARGs, instead of their defaults.

    Raises:
        SpecError: The file cannot be read, or has something that cannot be converted: all problems at once.
        ValidationError: An argument has the wrong type.
    """
    _arguments.optional(_arguments.text, "name", name)
    given = _arguments.strings("args", {} if args is None else args)
    text = read(path)
    try:
        from e2b_dockerfile_utils import DockerfileSyntaxError, parse_dockerfile_ast
    except ModuleNotFoundError:
        raise SpecError(
            "reading Dockerfiles needs an extra: pip install 'superserve-client[dockerfile]'"
        ) from None
    broken: list[SpecProblem] = []
    while True:
        try:
            ast = parse_dockerfile_ast(text)
        except DockerfileSyntaxError as error:
            message = str(error).partition(": ")[2] or str(error)
            broken.append(SpecProblem(message, place=Place(str(path), error.line)))
            # The rest is read without it, for what else there is to tell.
            rest = _without(text, error.line)
            if rest == text:
                raise SpecError.of(broken) from None
            text = rest
        except RecursionError:
            raise SpecError.of([SpecProblem("is nested too deeply", place=Place(str(path)))]) from None
        else:
            break
    importer = _Importer(Path(path), ast.escape_token, given)
    importer.problems += broken
    for instruction in ast.instructions:
        importer.take(instruction)
    spec = importer.finish(name or Path(path).resolve().parent.name.lower())
    return Imported(spec, tuple(importer.warnings))


def _without(text: str, line: int | None) -> str:
    """Return a Dockerfile without the instruction in a line; unchanged if where that ends is not certain."""
    lines = text.split("\n")
    number = (line or 0) - 1
    if not 0 <= number < len(lines) or "<<" in lines[number]:
        return text
    while number < len(lines):
        goes_on = lines[number].rstrip().endswith(("\\", "`"))
        lines[number] = ""
        if not goes_on:
            break
        number += 1
    return "\n".join(lines)


class _Values(dict[str, str]):
    """The values of variables. It notes a variable that was used without a declaration."""

    def __init__(self, known: Mapping[str, str | None]) -> None:
        super().__init__((key, value) for key, value in known.items() if value is not None)
        self._declared = frozenset(known)
        self.unknown = ""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        if key not in self._declared:
            self.unknown = key
        return super().get(key, default)


class _Importer:
    """Converts instructions to steps, one after the other, and collects the problems."""

    def __init__(self, path: Path, escape: str, given: Mapping[str, str]) -> None:
        self._path = path
        self._escape = escape
        self._given = given
        self._image: str | None = None
        self._global_args: dict[str, str | None] = {}
        # In the order in which a RUN sees them; ENV overrides ARG.
        self._args: dict[str, str | None] = {}
        self._env: dict[str, str] = {}
        self._shell = _SHELL
        self._user = "root"
        self._steps: list[Any] = []
        self._places: dict[str, Place] = {"": Place(str(path), 1)}
        self._entrypoint: tuple[list[str], bool] | None = None
        self._command: tuple[list[str], bool] | None = None
        self._ready: str | None = None
        self._line = 1
        self._word = ""
        self.problems: list[SpecProblem] = []
        self.warnings: list[SpecProblem] = []

    def take(self, instruction: "DockerfileInstruction") -> None:
        """Convert one instruction."""
        self._line, self._word = instruction.start_line, instruction.name
        handlers: dict[str, Callable[[DockerfileInstruction], None]] = {
            "FROM": self._from, "ARG": self._arg, "ENV": self._set_env, "RUN": self._run, "WORKDIR": self._workdir,
            "USER": self._set_user, "COPY": self._copy, "ADD": self._copy, "CMD": self._cmd, "ENTRYPOINT": self._cmd,
            "HEALTHCHECK": self._healthcheck, "SHELL": self._set_shell,
        }  # fmt: skip
        if instruction.name in _NO_MEANING:
            self._warn(f"is left out: {_NO_MEANING[instruction.name]}")
        elif instruction.name in handlers:
            try:
                handlers[instruction.name](instruction)
            except ValueError as error:
                self._refuse(str(error))
        else:
            self._refuse("cannot be converted: write what it does as RUN")

    def finish(self, name: str) -> TemplateSpec:
        """Return the spec, or raise all problems."""
        spec = TemplateSpec(
            name=name,
            from_=self._image or "missing",
            steps=self._steps,
            start_cmd=self._start(),
            ready_cmd=self._ready,
            places=self._places,
        )
        if self._image is None and not self.problems:
            self._refuse("there is no FROM")
        if spec.size_bytes > _canonical.LARGEST and not self.problems:
            copies = [where for where in self._places if where.startswith("copy ")]
            self._line, self._word = (
                self._places[copies[-1] if copies else ""].line or 1,
                "COPY" if copies else "RUN",
            )
            self._refuse(
                f"with it the spec has {spec.size_bytes:,} bytes, and a build can have "
                f"{_canonical.LARGEST:,} at most: download large files in a RUN, or upload them into a sandbox"
            )
        if self.problems:
            raise SpecError.of(sorted(self.problems, key=lambda one: (one.place and one.place.line) or 0))
        return spec

    def _refuse(self, message: str) -> None:
        self.problems.append(SpecProblem(message, where=self._word, place=self._place))

    def _warn(self, message: str) -> None:
        self.warnings.append(SpecProblem(message, "warning", self._word, self._place))

    @property
    def _place(self) -> Place:
        return Place(str(self._path), self._line)

    def _step(self, step: Any) -> None:
        self._places[f"steps[{len(self._steps)}]"] = self._place
        self._steps.append(step)

    def _expand(self, text: str, known: Mapping[str, str | None] | None = None, *, raw: bool = False) -> str:
        """Return a text with variables replaced. In a raw text, quotes are ordinary characters."""
        from e2b_dockerfile_utils import ShellLex

        values = _Values({**self._args, **self._env} if known is None else known)
        lex = ShellLex(
            self._escape, raw_quotes=raw, skip_process_quotes=raw, env=values, skip_unset_env=False
        )
        expanded = lex.process_word(text)
        if values.unknown:
            raise ValueError(
                f"${values.unknown} is not known here: the image may set it; write the value itself"
            )
        return expanded

    # The instructions

    def _from(self, instruction: "DockerfileInstruction") -> None:
        if self._image is not None:
            self._refuse("a second stage cannot be converted: build it elsewhere, and start FROM its image")
            return
        for flag in instruction.flags:
            if self._expand(flag, self._global_args) != "--platform=linux/amd64":
                self._refuse(f"{flag}: sandboxes are linux/amd64")
        self._image = self._expand(instruction.args[0], self._global_args) if instruction.args else ""
        self._places["from"] = self._place
        if self._image == "scratch":
            self._refuse("scratch has no shell: start from an image such as debian:12")

    def _arg(self, instruction: "DockerfileInstruction") -> None:
        for word in instruction.args:
            key, has_default, default = word.partition("=")
            value: str | None = self._given.get(key)
            scope = self._global_args if self._image is None else self._args
            if value is None and has_default:
                value = self._expand(default, self._global_args if self._image is None else None)
            if value is None:
                value = self._global_args.get(key)
            if value is None:
                self._warn(f"{key} has no default, and is empty")
            scope[key] = value

    def _set_env(self, instruction: "DockerfileInstruction") -> None:
        words = instruction.args
        values = {words[at]: self._expand(words[at + 1]) for at in range(0, len(words) - 1, 3)}
        for key, value in values.items():
            self._env[key] = value
            self._step(EnvStep(EnvStepValue(key, value)))

    def _run(self, instruction: "DockerfileInstruction") -> None:
        for flag in instruction.flags:
            self._refuse(f"{flag} cannot be converted: do without it, or build the image elsewhere")
        command = self._as_command(instruction)
        used = {
            key: value
            for key, value in self._args.items()
            if value is not None and key not in self._env and key in command
        }
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in used.items())
        self._step(RunStep(exports + command))

    def _as_command(self, instruction: "DockerfileInstruction") -> str:
        if instruction.json:
            return shlex.join(instruction.args)
        command = instruction.args[0] if instruction.args else ""
        if instruction.heredocs:
            first = instruction.heredocs[0]
            if len(instruction.heredocs) == 1 and command.strip() in _markers(first.name):
                command = _text_of(first)
                if command.startswith("#!"):
                    raise ValueError(
                        "a here-document with an interpreter: run the interpreter with the script instead"
                    )
            else:
                bodies = "".join(f"{heredoc.content}{heredoc.name}\n" for heredoc in instruction.heredocs)
                command = f"{command}\n{bodies}"
        return command if self._shell == _SHELL else shlex.join([*self._shell, command])

    def _workdir(self, instruction: "DockerfileInstruction") -> None:
        self._step(WorkdirStep(self._expand(instruction.args[0])))

    def _set_user(self, instruction: "DockerfileInstruction") -> None:
        name, has_group, group = self._expand(instruction.args[0]).partition(":")
        if has_group and group != name:
            self._refuse(f"the group {group!r} cannot be converted: name the user alone")
        elif name.isdigit() and name != "0":
            self._refuse(f"{name} is a number: use a user name")
        else:
            self._user = "root" if name == "0" else name
            self._step(UserStep(UserStepValue(self._user)))

    def _set_shell(self, instruction: "DockerfileInstruction") -> None:
        if not instruction.json or not instruction.args:
            raise ValueError('expected a list such as ["/bin/bash", "-c"]')
        self._shell = instruction.args

    def _cmd(self, instruction: "DockerfileInstruction") -> None:
        found = (instruction.args, True) if instruction.json else ([*self._shell, *instruction.args], False)
        if instruction.name == "CMD":
            self._command = found
            self._places["start_cmd"] = self._place
        else:
            # As in Docker, ENTRYPOINT resets a CMD of the image. A CMD of this file stays.
            self._entrypoint = found
            self._places["start_cmd"] = self._place

    def _start(self) -> str | None:
        words, is_list = self._entrypoint or ([], True)
        # An ENTRYPOINT in shell form ignores CMD.
        command, is_command_list = (self._command if is_list else None) or ([], True)
        if not words and not is_command_list and command[:-1] == _SHELL:
            return command[-1]
        if not is_list and words[:-1] == _SHELL:
            return words[-1]
        return shlex.join([*words, *command]) or None

    def _healthcheck(self, instruction: "DockerfileInstruction") -> None:
        kind, *words = instruction.args or [""]
        if kind.upper() == "NONE":
            self._ready = None
            return
        for flag in instruction.flags:
            self._warn(f"{flag} is left out: ready_cmd is tried every 2 s")
        self._ready = shlex.join(words) if instruction.json else " ".join(words)
        self._places["ready_cmd"] = self._place

    # COPY

    def _copy(self, instruction: "DockerfileInstruction") -> None:
        flags = self._copy_flags(instruction)
        if flags is None:
            return
        *sources, target = [self._expand(word) for word in instruction.args] or [""]
        if not sources and not instruction.heredocs:
            raise ValueError("expected sources and a target")
        if "chown" in flags and self._user != "root":
            self._refuse(
                f"--chown after USER {self._user}: here that user creates the files; move it before USER"
            )
            return
        if self._user != "root":
            self._warn(
                f"after USER {self._user}, the files belong to that user; in Docker they belong to root"
            )
        is_folder = target.endswith("/") or target in {".", ".."} or len(sources) > 1
        members: dict[str, tuple[str, bytes, int]] = {}
        for source in sources:
            heredoc = next((one for one in instruction.heredocs if source in _markers(one.name)), None)
            if heredoc is not None:
                content = _text_of(heredoc)
                text = self._expand(content, raw=True) if heredoc.expand else content
                name = heredoc.name if is_folder else posixpath.basename(target)
                members[name] = ("file", text.encode(), 0o644)
                continue
            _check_source(instruction.name, source)
            found = list(self._find(source))
            is_folder = is_folder or any(inside for inside, _ in found)
            for inside, file in found:
                members[inside or (file.name if is_folder else posixpath.basename(target))] = _member(file)
        if not members:
            raise ValueError(f"there is nothing to copy: {' '.join(sources)}")
        folder = target if is_folder else posixpath.dirname(target) or "."
        self._embed(folder, members, flags)

    def _copy_flags(self, instruction: "DockerfileInstruction") -> dict[str, str] | None:
        flags: dict[str, str] = {}
        for flag in instruction.flags:
            key, _, value = flag.removeprefix("--").partition("=")
            if key not in _COPY_FLAGS:
                instead = "; build it elsewhere, and start FROM its image" if key == "from" else ""
                self._refuse(f"--{key} cannot be converted{instead}")
                return None
            flags[key] = self._expand(value)
        return flags

    def _embed(self, folder: str, members: dict[str, tuple[str, bytes, int]], flags: dict[str, str]) -> None:
        quoted = shlex.quote(folder)
        archive = base64.b64encode(_archive(members, flags.get("chmod"))).decode()
        command = f"mkdir -p {quoted} && echo {archive} | base64 -d | tar -xz --no-same-owner -C {quoted}"
        if "chown" in flags:
            names = " ".join(
                shlex.quote(posixpath.join(folder, name))
                for name in sorted({n.split("/")[0] for n in members})
            )
            command += f" && chown -R {shlex.quote(flags['chown'])} {names}"
        self._places[f"copy {len(self._steps)}"] = self._place
        self._step(RunStep(command))

    def _find(self, source: str) -> Iterator[tuple[str, Path]]:
        """Yield the files of a source. Each comes with its path relative to the source if that is a folder, else empty."""
        from e2b_dockerfile_utils import PatternMatcher

        context = self._path.resolve().parent
        pattern = posixpath.normpath(source.lstrip("/") or ".")
        if pattern.startswith(".."):
            raise ValueError(f"{source} is outside the folder of the Dockerfile")
        ignore = PatternMatcher(_ignored(self._path))
        named = (
            sorted(path.relative_to(context).as_posix() for path in context.glob(pattern))
            if pattern != "."
            else ["."]
        )
        if not named:
            raise ValueError(f"{source} does not exist")
        size = 0
        for one in named:
            root = context / one
            files = (
                sorted(path for path in root.rglob("*"))
                if root.is_dir() and not root.is_symlink()
                else [root]
            )
            for file in files:
                if file.is_dir() and not file.is_symlink():
                    continue
                if ignore.matches(file.relative_to(context).as_posix()):
                    continue
                size += file.lstat().st_size
                if size > _LARGEST_COPY:
                    raise ValueError(
                        f"{source} has more than {_LARGEST_COPY // 2**20} MiB, and a spec can have {_canonical.LARGEST:,} bytes: "
                        "download it in a RUN, or upload it into a sandbox"
                    )
                yield ("" if file == root else file.relative_to(root).as_posix()), file


def _check_source(word: str, source: str) -> None:
    """Refuse a source that is not a plain file of the context."""
    if source.startswith(("http://", "https://", "git@")):
        raise ValueError("a remote source cannot be converted: download it in a RUN, with curl or git")
    if word == "ADD" and source.lower().endswith(_ARCHIVES):
        raise ValueError("archives are not unpacked here: COPY it, and RUN tar")


def _markers(name: str) -> set[str]:
    return {f"<<{dash}{quote}{name}{quote}" for dash in ("", "-") for quote in ("", "'", '"')}


def _text_of(heredoc: Any) -> str:
    from e2b_dockerfile_utils import chomp_heredoc_content

    return str(chomp_heredoc_content(heredoc.content) if heredoc.chomp else heredoc.content)


def _ignored(path: Path) -> list[str]:
    for name in (f"{path.name}.dockerignore", ".dockerignore"):
        file = path.resolve().parent / name
        if file.is_file():
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            return [line.strip().lstrip("/") for line in lines if line.strip() and not line.startswith("#")]
    return []


def _member(file: Path) -> tuple[str, bytes, int]:
    if file.is_symlink():
        return "link", str(file.readlink()).encode(), 0o777
    if not file.is_file():
        raise ValueError(f"{file.name} is not a file")
    # The modes of git, so that the same tree makes the same spec on every machine.
    return "file", file.read_bytes(), 0o755 if file.stat().st_mode & 0o100 else 0o644


def _archive(members: dict[str, tuple[str, bytes, int]], chmod: str | None) -> bytes:
    """Return a compressed archive. The same files make the same bytes."""
    try:
        mode = None if chmod is None else int(chmod, 8)
    except ValueError:
        raise ValueError(f"--chmod={chmod}: expected digits such as 755") from None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, (kind, content, usual) in sorted(members.items()):
            info = tarfile.TarInfo(name)
            info.mode = usual if mode is None else mode
            if kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, content.decode()
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)
