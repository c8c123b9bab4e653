"""Archives of folders: taken apart without leaving the target, and known when they are not whole."""

import io
import os
import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import SandboxError, _archives


def zipped(*entries, kind=None, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            if kind is not None:
                info.external_attr = kind << 16
            archive.writestr(info, data)
    return buffer


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_what_is_in_a_folder_is_written_without_the_folders_name(tmp_path):
    _archives.extract(
        zipped(("box/", b""), ("box/a", b"1"), ("box/b/c", b"2"), ("box/d/", b"")), tmp_path / "new" / "x"
    )
    assert tree(tmp_path / "new" / "x") == {"a": b"1", "b": None, "b/c": b"2", "d": None}


def test_odd_names_are_only_names(tmp_path):
    names = ["é", " ", "a\nb", "..a", "a..", "-r", "a\\b", "C:x"]
    _archives.extract(zipped(*((f"box/{name}", b"1") for name in names)), tmp_path)
    assert sorted(tree(tmp_path)) == sorted(names)


@pytest.mark.parametrize(
    "name", ["../x", "box/../../x", "/x", "//x", "box/../x", "x", "..", "box/..", "/etc/passwd", ""]
)
def test_nothing_is_written_outside_the_target(tmp_path, name):
    with pytest.raises(SandboxError, match="has a path outside of it"):
        _archives.extract(zipped(("box/a", b"1"), (name, b"2")), tmp_path / "x")
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK])
def test_links_and_devices_in_an_archive_are_refused(tmp_path, kind):
    with pytest.raises(SandboxError, match="has a path outside of it"):
        _archives.extract(zipped(("box/a", b"/etc/passwd"), kind=kind | 0o777), tmp_path / "x")
    assert tree(tmp_path) == {}


def test_modes_do_not_matter(tmp_path):
    _archives.extract(zipped(("box/a", b"1"), kind=stat.S_IFREG | 0o4777), tmp_path)
    assert not (tmp_path / "a").stat().st_mode & 0o111


def test_links_that_are_there_already_are_not_followed(tmp_path):
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (outside / "f").write_bytes(b"mine")
    (target / "folder").symlink_to(outside)
    (target / "file").symlink_to(outside / "f")
    for name in ("box/folder/f", "box/folder/g/h", "box/file", "box/folder/"):
        with pytest.raises(SandboxError, match="is a link"):
            _archives.extract(zipped((name, b"theirs")), target)
    assert tree(outside) == {"f": b"mine"}


def test_what_is_in_the_way_is_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(b"")
    for name in ("box/a", "box/b/c"):
        with pytest.raises(SandboxError, match="cannot write"):
            _archives.extract(zipped((name, b"1")), tmp_path)


@given(st.integers(0, 10_000))
def test_an_archive_that_is_cut_anywhere_is_not_taken(at):
    whole = zipped(("box/a", os.urandom(300)), ("box/b", b"2")).getvalue()
    cut = whole[: at % len(whole)]
    with pytest.raises(SandboxError, match="not complete"):
        _archives.check(io.BytesIO(cut))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_an_archive_with_a_wrong_byte_is_right_or_an_error_of_ours(tmp_path_factory, at, by):
    data = bytearray(zipped(("box/a", bytes(range(256)))).getvalue())
    data[at % len(data)] ^= by
    target = tmp_path_factory.mktemp("target")
    try:
        _archives.extract(io.BytesIO(bytes(data)), target / "x")
    except SandboxError:
        return
    # Of names, times and the like an archive has no sum.
    assert [content for content in tree(target / "x").values() if content is not None] in (
        [bytes(range(256))],
        [],
    )


def test_surprise_6_an_archive_at_the_servers_limit_may_lack_files(monkeypatch, tmp_path):
    monkeypatch.setattr(_archives, "MOST_ENTRIES", 2)
    _archives.check(zipped(("box/a", b"1")))
    with pytest.raises(SandboxError, match="files may be missing"):
        _archives.check(zipped(("box/a", b"1"), ("box/b", b"2")))
    monkeypatch.setattr(_archives, "LARGEST", 50)
    with pytest.raises(SandboxError, match="files may be missing"):
        _archives.extract(zipped(("box/a", b"1")), tmp_path / "x")
    assert tree(tmp_path) == {}
