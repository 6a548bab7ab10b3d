import errno
import os

import pytest

from dpcond.errors import InputError
from dpcond.release import read


def everything(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_existing_folder_is_refused(release, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="out already exists; remove it"):
        release.save(tmp_path / "out")
    with pytest.raises(InputError, match="exists and is not a release; it is not overwritten"):
        release.save(tmp_path / "out", overwrite=True)
    assert everything(tmp_path) == {"out/mine.txt": b"keep me"}


def test_a_release_is_overwritten_only_when_asked(release, open_run, tmp_path):
    release.save(tmp_path / "out")
    with pytest.raises(InputError, match="already exists"):
        release.save(tmp_path / "out")
    open_run.release().save(tmp_path / "out", overwrite=True)
    assert not read(tmp_path / "out").private
    assert os.listdir(tmp_path) == ["out"]


def test_parents_are_made(release, tmp_path):
    release.save(tmp_path / "a" / "b" / "out")
    assert len(read(tmp_path / "a" / "b" / "out")) == 20


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device; nothing was written, free some space"),
        (errno.EROFS, "Read-only file system; nothing was written, give a folder that can be written to"),
        (errno.EIO, "nothing was written"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("when", [1, 3, 8, 9])
def test_a_failing_disk_leaves_nothing_half_written(release, tmp_path, monkeypatch, number, message, overwrite, when):
    if overwrite:
        release.save(tmp_path / "out")
    before = everything(tmp_path)
    calls = []

    def fail(*args):  # the sync of a file or folder, or the rename: whichever comes ``when``-th
        calls.append(args)
        if len(calls) >= when:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    if when == 9:
        monkeypatch.setattr(os, "fsync", lambda *a: None)
        monkeypatch.setattr(os, "rename", lambda *a: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
    with pytest.raises(InputError, match=message) as caught:
        release.save(tmp_path / "out", overwrite=overwrite)
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == before
    assert os.listdir(tmp_path) == (["out"] if overwrite else [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(release, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied; nothing was written"):
            release.save(tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_the_way(release, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*nothing was written"):
        release.save(tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "spec.json").unlink(), "spec.json is missing"),
        (lambda f: (f / "spec.json").write_text("{}"), "spec.json does not match its hash"),
        (lambda f: (f / "notes.txt").write_text("hello"), "notes.txt does not belong to a release"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json cannot be read"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
    ],
)
def test_read_refuses_what_is_not_whole(release, tmp_path, damage, message):
    release.save(tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_read_refuses_what_is_no_folder(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        read(tmp_path / "none")


def test_read_refuses_a_foreign_file_with_the_right_hash(release, rewrite, tmp_path):
    release.save(tmp_path / "out")
    rewrite(tmp_path / "out", data_safetensors=b"not tensors")
    with pytest.raises(InputError, match="cannot be read as a release"):
        read(tmp_path / "out")
