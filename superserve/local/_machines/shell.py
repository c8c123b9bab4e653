"""Predicts what shell commands do where that is certain. It runs nothing.

tree-sitter's bash grammar says where commands begin and end. A command that it cannot parse, or that depends on the
machine (other programs, tests, `if`, `while`, `case`, functions, pipes, expansions), succeeds and prints nothing.
(other programs, tests, `if`, `while`, `case`, functions, pipes, expansions), succeeds and prints nothing.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_USAGE = 2
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(?P<number>\d+\.?\d*|\.\d+|inf(?:inity)?)(?P<unit>[smhd]?)")
_ESCAPE = re.compile(r"\\(?:\n|(?P<text>.))", re.DOTALL)
_ESCAPE_IN_QUOTES = re.compile(r'\\(?:\n|(?P<text>[$`"\\]))')
_SHELL = re.compile(r"(?:/bin/|/usr/bin/)?(?:sh|bash|dash)")
_OPTIONS = re.compile(r"[-+][a-zA-Z]+")
_SHELL_OPTIONS = re.compile(r"-[a-z]*c[a-z]*")
_STREAMS: dict[str, str | None] = {"1": "stdout", "2": "stderr"}
_FILES = {"/dev/stdout": "stdout", "/dev/stderr": "stderr"}


@attrs.frozen
class Output:
    """A piece of a command's output, with its time in seconds from the start."""

    at_s: float
    stream: str
    text: str


@attrs.define
class Outcome:
    """What a command would do: its status, its output in order, and its duration."""

    status: int = 0
    output: list[Output] = attrs.field(factory=list)
    duration_s: float = 0.0


class _Unread(Exception):  # noqa: N818 - not an error
    """It cannot be known how the rest of this list goes."""


class _Exited(Exception):  # noqa: N818 - not an error
    """The shell has ended."""


def read_command(text: str) -> Outcome:
    """Return what a shell would do with a command, as far as that is certain."""
    shell = _Shell(Outcome())
    shell.run_text(text)
    return shell.outcome


@cache
def _parser() -> "Parser":
    # Imported here: not needed before the first build.
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


class _Shell:
    """One shell. A subshell has its own, and writes to the same outcome."""

    def __init__(self, outcome: Outcome, *, errexit: bool = False, functions: Sequence[str] = ()) -> None:
        self.outcome = outcome
        self._errexit = errexit
        self._functions = set(functions)
        self._is_certain = True
        """Whether the status comes from a command that was carried out."""

    def run_text(self, text: str) -> None:
        root = _parser().parse(text.encode("utf-8", "replace")).root_node
        if root.has_error:
            return
        done = len(self.outcome.output)
        try:
            self._run_all(root)
        except _Exited:
            return
        except RecursionError:
            del self.outcome.output[done:]
            self.outcome.status = 0

    def _run_all(self, node: "Node") -> None:
        children = node.children
        for child, following in zip(children, [*children[1:], None], strict=False):
            if not child.is_named or child.type in {"comment", "heredoc_body"}:
                continue
            if following is not None and following.type == "&":
                # A background command: nobody waits for it.
                self._succeed()
                continue
            try:
                self._run(child)
            except _Unread:
                self._succeed()

    def _run(self, node: "Node", redirects: Sequence["Node"] = (), *, guarded: bool = False) -> None:
        """Carry out a statement. A guarded one may fail under `set -e`."""
        match node.type:
            case "list":
                self._run_list(node, redirects, guarded=guarded)
            case "redirected_statement":
                self._run_redirected(node, redirects, guarded=guarded)
            case "negated_command":
                self._run(node.named_children[-1], redirects, guarded=True)
                self.outcome.status = int(self._is_certain and not self.outcome.status)
            case "compound_statement":
                with_output = len(self.outcome.output)
                self._run_all(node)
                self._redirect(with_output, redirects)
            case "subshell":
                self._run_subshell(node, redirects)
                self._check(guarded=guarded)
            case "command":
                self._run_command(node, redirects)
                self._check(guarded=guarded)
            case "function_definition":
                name = node.child_by_field_name("name")
                self._functions.add(_source(name) if name else "")
                self._succeed()
            case _:
                self._succeed()

    def _run_list(self, node: "Node", redirects: Sequence["Node"], *, guarded: bool) -> None:
        # The grammar nests lists to the left, and long lists too deeply for Python's recursion.
        # It puts a redirect of the last command around the whole list.
        parts: list[tuple[str, Node, Sequence[Node]]] = []
        outer = redirects
        while True:
            if node.type == "list":
                first, operator, last = (child for child in node.children if child.type != "comment")
                parts.append((operator.type, last, outer))
                node, outer = first, ()
            elif (inner := _list_in(node)) is not None:
                outer = [*node.children_by_field_name("redirect"), *outer]
                node = inner
            else:
                break
        self._run(node, outer, guarded=True)
        previous = node
        for index, (sign, part, behind) in enumerate(reversed(parts), 1):
            self._need_certainty(previous)
            # A skipped command does not change the status, so the next operator looks at that status.
            if (sign == "&&") == (self.outcome.status == 0):
                is_last = index == len(parts)
                self._run(part, behind, guarded=guarded or not is_last)
                previous = part

    def _need_certainty(self, node: "Node") -> None:
        """Stop reading a list whose course depends on a test: there is no image to test."""
        if node.type in {"negated_command", "redirected_statement"} and node.named_children:
            node = node.named_children[0]
        name = node.child_by_field_name("name")
        if node.type == "test_command" or (name is not None and _source(name) in {"test", "["}):
            raise _Unread

    def _run_redirected(self, node: "Node", outer: Sequence["Node"], *, guarded: bool) -> None:
        body = node.child_by_field_name("body")
        redirects = [*node.children_by_field_name("redirect"), *outer]
        documents = [redirect for redirect in redirects if redirect.type == "heredoc_redirect"]
        # The grammar puts what follows the word of a here-document inside the here-document.
        behind = [child for document in documents for child in document.named_children]
        files = [*redirects, *(child for child in behind if child.type == "file_redirect")]
        if body is None or any(child.type == "pipeline" for child in behind):
            self._succeed()
        else:
            self._run(body, [each for each in files if each.type == "file_redirect"], guarded=guarded)
        for document in documents:
            right = document.child_by_field_name("right")
            if right is None or body is None:
                continue
            self._need_certainty(body)
            if any(child.type == "&&" for child in document.children) == (self.outcome.status == 0):
                self._run(right, guarded=guarded)

    def _run_subshell(self, node: "Node", redirects: Sequence["Node"]) -> None:
        done = len(self.outcome.output)
        inner = _Shell(self.outcome, errexit=self._errexit, functions=tuple(self._functions))
        with suppress(_Exited):
            inner._run_all(node)
        self._is_certain = inner._is_certain
        self._redirect(done, redirects)

    def _run_command(self, node: "Node", redirects: Sequence["Node"]) -> None:
        name = node.child_by_field_name("name")
        command = _read_word(name.named_children[0]) if name and name.named_children else None
        own = [child for child in node.children_by_field_name("redirect") if child.type == "file_redirect"]
        redirects = [*own, *redirects]
        words = list(node.children_by_field_name("argument"))
        # The grammar takes words after a redirection for further targets.
        words += [word for each in redirects for word in each.children_by_field_name("destination")[1:]]
        before, done = self.outcome.status, len(self.outcome.output)
        self._succeed()
        if command is None or command in self._functions:
            return
        self._is_certain = True
        arguments = [
            _read_word(word, status=before) for word in sorted(words, key=lambda word: word.start_byte)
        ]
        if command == "exit":
            self.outcome.status = _exit_status(arguments, before)
            raise _Exited
        if command == "false":
            self.outcome.status = 1
        elif command not in {"true", ":", "echo", "sleep", "set"} and not _SHELL.fullmatch(command):
            self._is_certain = False
        else:
            texts = [text for text in arguments if text is not None]
            if len(texts) == len(arguments):
                self._run_known(command, texts)
        self._redirect(done, redirects)

    def _run_known(self, command: str, arguments: list[str]) -> None:
        if command == "echo":
            text = " ".join(arguments[1:] if arguments[:1] == ["-n"] else arguments)
            # Shells differ in how they treat these.
            if "\\" not in text and arguments[:1] != ["-e"]:
                self.outcome.output.append(Output(self.outcome.duration_s, "stdout", text))
        elif command == "sleep":
            self._sleep(arguments)
        elif command == "set":
            self._set(arguments)
        elif len(arguments) > 1 and _SHELL_OPTIONS.fullmatch(arguments[0]):
            inner = _Shell(self.outcome, errexit="e" in arguments[0])
            inner.run_text(arguments[1])

    def _set(self, arguments: list[str]) -> None:
        for option, name in zip(arguments, [*arguments[1:], ""], strict=False):
            if option == "--":
                return
            if (option[1:] == "o" and name == "errexit") or (_OPTIONS.fullmatch(option) and "e" in option):
                self._errexit = option[0] == "-"

    def _sleep(self, arguments: list[str]) -> None:
        times = [_TIME.fullmatch(argument) for argument in arguments]
        found = [time for time in times if time is not None]
        if not times or len(found) < len(times):
            self.outcome.status = 1
            return
        self.outcome.duration_s += sum(float(time["number"]) * _UNITS[time["unit"]] for time in found)

    def _succeed(self) -> None:
        self.outcome.status = 0
        self._is_certain = False

    def _check(self, *, guarded: bool) -> None:
        """End the shell after a failed command, under `set -e`."""
        if self.outcome.status and self._errexit and not guarded:
            raise _Exited

    def _redirect(self, start: int, redirects: Sequence["Node"]) -> None:
        """Send the output from `start` on to the targets of the redirections."""
        if not redirects:
            return
        streams = dict(_STREAMS)
        for redirect in redirects:
            _apply(redirect, streams)
        printed = self.outcome.output[start:]
        places = {"stdout": streams["1"], "stderr": streams["2"]}
        self.outcome.output[start:] = [
            attrs.evolve(output, stream=place) for output in printed if (place := places[output.stream])
        ]


def _list_in(node: "Node") -> "Node | None":
    """Return the list that only file redirections surround; None for any other statement."""
    body = node.child_by_field_name("body") if node.type == "redirected_statement" else None
    if body is None or body.type != "list":
        return None
    is_plain = all(each.type == "file_redirect" for each in node.children_by_field_name("redirect"))
    return body if is_plain else None


def _apply(redirect: "Node", streams: dict[str, str | None]) -> None:
    number = redirect.child_by_field_name("descriptor")
    targets = redirect.children_by_field_name("destination")
    sign = next((child.type for child in redirect.children if not child.is_named), "")
    if ">" not in sign or not targets:
        return
    target = _source(targets[0])
    from_ = _source(number) if number is not None else "1"
    place = streams.get(target) if sign == ">&" else _FILES.get(target)
    for each in ("1", "2") if sign.startswith("&>") else (from_,):
        streams[each] = place


def _exit_status(arguments: list[str | None], before: int) -> int:
    if not arguments:
        return before
    if arguments[0] is None:
        return 0
    return int(arguments[0][-9:]) % 256 if re.fullmatch("[0-9]+", arguments[0]) else _USAGE


def _read_word(node: "Node", *, status: int | None = None) -> str | None:  # noqa: PLR0911 - one for each kind
    """Return the text of a word; None if it depends on something else."""
    text = _source(node)
    match node.type:
        case "number":
            return text
        case "word":
            is_pattern = "*" in text or text.startswith("~")
            return None if is_pattern else _ESCAPE.sub(lambda found: found["text"] or "", text)
        case "raw_string":
            return text[1:-1]
        case "string" if all(child.type == "string_content" for child in node.named_children):
            return _ESCAPE_IN_QUOTES.sub(lambda found: found["text"] or "", text[1:-1])
        case "concatenation":
            parts = [_read_word(child) for child in node.named_children]
            return None if None in parts or _has_other_signs(node) else "".join(map(str, parts))
        case "simple_expansion" if text == "$?" and status is not None:
            return str(status)
    return None


def _has_other_signs(node: "Node") -> bool:
    return any(not child.is_named for child in node.children)


def _source(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")
