"""Dockerfiles as specs: what is carried over, what is left out with a word, what is refused with its line."""

import os
import subprocess
import sys

import pytest

from superserve import SpecError, TemplateSpec
from superserve.specs.dockerfile import read_dockerfile


@pytest.fixture
def imported(tmp_path):
    """Read a Dockerfile of some lines."""

    def imported(text, **options):
        (tmp_path / "Dockerfile").write_text(text)
        return read_dockerfile(tmp_path / "Dockerfile", name="web", **options)

    return imported


@pytest.fixture
def spec(imported):
    return lambda *lines, **options: imported("\n".join(["FROM a", *lines]) + "\n", **options).spec


@pytest.fixture
def refused(imported):
    def refused(*lines):
        with pytest.raises(SpecError) as caught:
            imported("\n".join(lines) + "\n")
        return [(problem.place.line, problem.message) for problem in caught.value.problems]

    return refused


BASE = TemplateSpec(name="web", from_="a")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["RUN make all"], BASE.run("make all")),
        (["run a \\", "  # why", "  && b"], BASE.run("a   && b")),
        (['RUN ["echo", "a b"]'], BASE.run("echo 'a b'")),
        (["RUN <<EOF", "one", "two $A", "EOF"], BASE.run("one\ntwo $A\n")),
        (["RUN <<-EOF", "\tone", "EOF"], BASE.run("one\n")),
        (["RUN cat <<EOF > /x", "one", "EOF"], BASE.run("cat <<EOF > /x\none\nEOF\n")),
        (["ENV A=1 B='x y'", "ENV C $A-c"], BASE.env(A="1", B="x y", C="1-c")),
        (["ENV A=1", "WORKDIR /srv/$A", "WORKDIR b"], BASE.env(A="1").workdir("/srv/1").workdir("b")),
        (["USER app", "USER root:root", "USER 0"], BASE.user("app").user("root").user("root")),
        (["ARG V=1", "ARG W", "RUN pip install x==$V"], BASE.run("export V=1\npip install x==$V")),
        (["ARG V=1", "ENV V=2", "RUN echo $V"], BASE.env(V="2").run("echo $V")),
        (["ARG V=1", "ENV W=${V}${X:-}"], None),
        (['SHELL ["/bin/bash", "-c"]', "RUN a && b"], BASE.run("/bin/bash -c 'a && b'")),
        (['CMD ["python", "a b.py"]'], BASE.start("python 'a b.py'")),
        (["CMD python app.py"], BASE.start("python app.py")),
        (['ENTRYPOINT ["python"]', 'CMD ["app.py"]'], BASE.start("python app.py")),
        (["ENTRYPOINT python app.py", 'CMD ["ignored"]'], BASE.start("python app.py")),
        (["CMD a", "CMD b", "HEALTHCHECK CMD up"], BASE.start("b", ready="up")),
        (['HEALTHCHECK CMD ["curl", "-f", "a b"]', "HEALTHCHECK NONE"], BASE),
        (["# escape=`"], BASE),
    ],
)
def test_what_means_the_same_is_carried_over(spec, lines, expected):
    if expected is None:
        with pytest.raises(SpecError, match=r"\$X is not known here"):
            spec(*lines)
    else:
        assert spec(*lines) == expected


def test_arguments_of_the_image_come_before_it(imported):
    text = "ARG V=3.11\nARG IMAGE=python:$V\nFROM --platform=linux/amd64 ${IMAGE}-slim AS base\nARG V\nRUN echo $V\n"
    assert imported(text).spec == TemplateSpec(name="web", from_="python:3.11-slim").run(
        "export V=3.11\necho $V"
    )
    assert imported(text, args={"V": "3.12"}).spec.from_ == "python:3.12-slim"


def test_every_step_remembers_its_line(spec):
    found = spec("", "RUN a", "ENV A=1 \\", "    B=2", "CMD x")
    assert [found.place_of(f"steps[{index}]").line for index in range(3)] == [3, 4, 4]
    assert found.place_of("start_cmd").line == 6


def test_what_has_no_meaning_is_left_out_with_a_word(imported):
    found = imported(
        "FROM a\nEXPOSE 80\nLABEL a=b\nMAINTAINER x\nSTOPSIGNAL 9\nVOLUME /x\nHEALTHCHECK --interval=5s CMD up\nARG X\n"
    )
    assert found.spec == TemplateSpec(name="web", from_="a", ready_cmd="up")
    assert [(one.place.line, one.where) for one in found.warnings] == [
        (2, "EXPOSE"), (3, "LABEL"), (4, "MAINTAINER"), (5, "STOPSIGNAL"), (6, "VOLUME"), (7, "HEALTHCHECK"), (8, "ARG"),
    ]  # fmt: skip


def test_all_that_cannot_be_carried_over_is_refused_at_once_with_its_line(refused):
    told = refused(
        "FROM --platform=linux/arm64 a AS build",
        "RUN --mount=type=cache,target=/x make",
        "ENV PATH=$PATH:/x",
        "USER 1000",
        "USER app:staff",
        "ONBUILD RUN x",
        "ADD https://example.com/x /x",
        "ADD a.tar.gz /x",
        "COPY --from=build /x /y",
        "COPY nothing /y",
        "COPY ../x /y",
        "SHELL /bin/bash",
        "FROM b",
        "RUM make \\",
        "  all",
        "USR app",
    )
    assert [line for line, _ in told] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16]
    assert "$PATH is not known here" in told[2][1]
    assert "second stage" in told[-3][1]
    assert [message for _, message in told[-2:]] == ["unknown instruction: RUM", "unknown instruction: USR"]


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["FROM scratch"], 1, "has no shell"),
        (["RUN a"], 1, "there is no FROM"),
        (["FROM a", "FOO x"], 2, "unknown instruction"),
        (["FROM a", "RUN <<EOF", "#!/usr/bin/env python3", "EOF"], 2, "here-document with an interpreter"),
        (["FROM a", "USER app", "COPY --chown=app Dockerfile /x"], 3, "move it before USER"),
        (["FROM a", "COPY --chmod=u+x Dockerfile /x"], 2, "expected digits"),
        (["FROM a", "ENV A=${"], 2, "missing '}'"),
        (["FOO"], 1, "unknown instruction"),
        (["FROM a", "FOO <<EOF", "ADD http://x /y", "EOF"], 2, "unknown instruction"),
        (["FROM a", "RUN <<EOF", "ADD http://x /y"], 2, "unterminated"),
    ],
)
def test_single_refusals(refused, lines, line, message):
    [(at, told)] = refused(*lines)
    assert at == line
    assert message in told


# COPY


def unpacked(spec, folder, *more):
    """Run the last step in a folder, and return the files that it makes."""
    subprocess.run(["/bin/sh", "-c", spec.steps[-1].run, *more], check=True, cwd=folder)
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def context(tmp_path):
    for name, text in {
        "a.txt": "A", "b.txt": "B", "src/main.py": "M", "src/lib/x.py": "X", "src/junk.pyc": "J", ".hidden": "H",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "src/main.py").chmod(0o755)
    (tmp_path / ".dockerignore").write_text("# junk\n**/*.pyc\n\n")
    out = tmp_path / "out"
    out.mkdir()
    return out


@pytest.mark.skipif(sys.platform == "win32", reason="steps are run by sh")
@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("COPY a.txt new.txt", {"new.txt": "A"}),
        ("COPY a.txt dst/", {"dst/a.txt": "A"}),
        ("COPY a.txt b.txt dst", {"dst/a.txt": "A", "dst/b.txt": "B"}),
        ("COPY *.txt ./", {"a.txt": "A", "b.txt": "B"}),
        ("COPY src dst", {"dst/main.py": "M", "dst/lib/x.py": "X"}),
        ('COPY ["a.txt", "my dir/"]', {"my dir/a.txt": "A"}),
        ("ADD --chmod=600 a.txt dst/x", {"dst/x": "A"}),
        ("ENV D=dst\nCOPY a.txt $D/", {"dst/a.txt": "A"}),
        ("ENV D=1\nCOPY <<EOF dst/x.ini\nd='$D'\nEOF", {"dst/x.ini": "d='1'\n"}),
        ("COPY <<'EOF' dst/\n$D\nEOF", {"dst/EOF": "$D\n"}),
    ],
)
def test_a_small_context_is_embedded_and_unpacked_where_it_belongs(imported, context, line, files):
    assert unpacked(imported(f"FROM a\n{line}\n").spec, context) == files


def test_modes_are_kept_as_git_keeps_them(imported, context):
    unpacked(imported("FROM a\nCOPY src dst\n").spec, context)
    modes = [(context / "dst" / name).stat().st_mode & 0o777 for name in ("main.py", "lib/x.py")]
    assert modes == [0o755, 0o644]


def test_the_whole_context_comes_without_what_is_ignored(imported, context):
    (context.parent / ".dockerignore").write_text("**/*.pyc\nout\nDockerfile\n.dockerignore\n")
    files = unpacked(imported("FROM a\nCOPY . app\n").spec, context)
    assert set(files) == {"app/a.txt", "app/b.txt", "app/.hidden", "app/src/main.py", "app/src/lib/x.py"}


def test_the_same_files_are_the_same_spec_whenever_they_were_written(imported, context):
    text = "FROM a\nCOPY src dst\n"
    before = imported(text).spec
    os.utime(context.parent / "src/main.py", (0, 0))
    assert imported(text).spec == before


def test_owners_are_changed_after_copying(imported, context):
    command = imported("FROM a\nCOPY --chown=app:app src/lib a.txt /srv/\n").spec.steps[0].run
    assert command.endswith(" && chown -R app:app /srv/a.txt /srv/x.py")


def test_a_copy_after_user_is_told_of(imported, context):
    [warning] = imported("FROM a\nUSER app\nCOPY a.txt /x\n").warnings
    assert "the files belong to that user" in warning.message


def test_more_than_a_spec_can_hold_is_refused_with_its_line(refused, context):
    (context.parent / "big").write_bytes(os.urandom(110_000))
    [(line, message)] = refused("FROM a", "COPY a.txt /a", "COPY big /big")
    assert line == 3
    assert "a build can have 131,071 at most" in message
    (context.parent / "huge").write_bytes(b"\0" * (5 * 2**20))
    assert "has more than 4 MiB" in refused("FROM a", "COPY huge /big")[0][1]


def test_load_takes_dockerfiles_by_their_names(tmp_path):
    for name in ("Dockerfile", "Dockerfile.dev", "dev.dockerfile", "Containerfile"):
        (tmp_path / name).write_text("FROM a\nRUN b\n")
        assert TemplateSpec.load(tmp_path / name, name="web") == BASE.run("b")


def test_without_the_extra_it_is_named(imported, monkeypatch):
    monkeypatch.setitem(sys.modules, "e2b_dockerfile_utils", None)
    with pytest.raises(SpecError, match="superserve-client\\[dockerfile\\]"):
        imported("FROM a\n")
