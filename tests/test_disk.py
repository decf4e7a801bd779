"""What hapsight may touch on a disk: its own files, and nothing that others put beside them."""

import errno
import fcntl
import os
import shutil

import pytest

from hapsight.errors import StoreError
from hapsight.files import temporary_name, write_atomically
from hapsight.run.run_folder import RunFolder

OTHERS = (
    ".session.tmp",
    ".table.parquet.1.tmp",
    ".hapsight-1.tmp",
    "data/.hapsight-0123456789abcdef0123456789abcdef.tmp",
    "predictions/toy/.notes.swp.tmp",
    "predictions/toy/draft.tmp",
    "report/genes/.editor.partial",
)


def test_only_temporary_files_of_our_own_form_in_our_own_folders_are_swept(tmp_path):
    for name in OTHERS:
        write_atomically(tmp_path / name, b"another's")
    ours = ("run.json", "report/genes/a.html", "predictions/toy/b")
    left = [temporary_name(tmp_path / name) for name in ours]
    for path in left:
        path.touch()
    array = temporary_name(tmp_path / "explain/toy/saturation/up1.zarr")
    (array / "c/0").mkdir(parents=True)
    with RunFolder(tmp_path).locked():
        pass
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        *OTHERS,
        ".lock",
        "run.log",
    }
    assert not array.exists()


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_lock_that_is_a_link_is_refused_and_its_target_stays(tmp_path, make):
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    (tmp_path / "run").mkdir()
    make(target, tmp_path / "run/.lock")
    run = RunFolder(tmp_path / "run")
    with pytest.raises(StoreError, match=r"link in the run folder[\s\S]*\.lock"), run.locked():
        pass
    assert target.read_text() == "precious"


def test_a_lock_that_is_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(StoreError, match="no plain file"), RunFolder(tmp_path).locked():
        pass


@pytest.mark.parametrize("name", ["report", "report/genes", "predictions/toy", "train", "run.json"])
def test_nothing_behind_a_link_in_the_run_folder_is_touched(tmp_path, name):
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    left = temporary_name(outside / "a")
    left.touch()
    link = run / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(StoreError, match=rf"link in the run folder[\s\S]*{name}"), RunFolder(run).locked():
        pass
    assert left.exists()


def test_a_run_folder_that_is_a_link_itself_and_links_of_others_are_no_matter(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/data").symlink_to(tmp_path)
    with RunFolder(tmp_path / "run").locked():
        assert (tmp_path / "disk/.lock").read_text()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EWOULDBLOCK, "Another hapsight process works in this run folder"),
        (errno.ENOLCK, r"takes no locks[\s\S]*ENOLCK: No locks available"),
        (errno.EOPNOTSUPP, r"takes no locks[\s\S]*NOTSUP: Operation not supported"),
        (errno.ENOSYS, r"takes no locks[\s\S]*ENOSYS: Function not implemented"),
    ],
)
def test_why_a_folder_cannot_be_locked_is_said(tmp_path, monkeypatch, code, words):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreError, match=words), RunFolder(tmp_path).locked():
        pass


def test_a_temporary_name_fits_where_the_name_itself_does(tmp_path):
    path = tmp_path / ("x" * 255)
    write_atomically(path, b"long")
    assert [p.name for p in tmp_path.iterdir()] == ["x" * 255]


def test_a_run_folder_that_is_a_file_is_told_and_kept(tmp_path):
    path = tmp_path / "run"
    path.write_text("precious")
    assert RunFolder(path).record() == {}
    with pytest.raises(StoreError, match=r"is a file[\s\S]*set another `output`"), RunFolder(path).locked():
        pass
    assert path.read_text() == "precious"


def test_a_run_folder_that_is_taken_away_during_a_stage_is_told(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "run.json").write_text('{"format": 1}')
    with pytest.raises(StoreError, match=r"taken away[\s\S]*same command again"), folder.stage("predict"):
        shutil.rmtree(folder.path)
