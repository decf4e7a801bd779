"""Downloads that break, change, lie or are refused, from a server on loopback."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from hapsight.download import begun, download
from hapsight.errors import InputError
from hapsight.recipes.geuvadis import RemoteFile, fetch, pending, require_space
from tests.recipes.server import serving

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def place():
    with serving({"genes.csv": CONTENT, "small.txt": b"a\n"}) as found:
        yield found


def get(file, folder, **options):
    (wanted,) = pending([file], folder)
    return fetch(wanted, folder, **options)


def test_sizes_are_known_before_anything_is_downloaded(place, tmp_path):
    found = pending([place.file("genes.csv"), place.file("small.txt")], tmp_path)
    assert [(p.size, p.begun, p.left) for p in found] == [(len(CONTENT), 0, len(CONTENT)), (2, 0, 2)]
    assert {method for method, _, _ in place.asked} == {"HEAD"}


def test_a_file_comes_whole_and_is_not_fetched_again(place, tmp_path):
    seen = []
    path = get(place.file("genes.csv"), tmp_path, progress=lambda done, size: seen.append((done, size)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert pending([place.file("genes.csv")], tmp_path) == []
    assert [p.name for p in tmp_path.iterdir()] == ["genes.csv"]


def test_a_broken_download_says_so_and_goes_on_from_there(place, tmp_path):
    place.cut["genes.csv"] = 4_000
    file = place.file("genes.csv")
    with pytest.raises(InputError, match=r"broke[\s\S]*10,240 bytes[\s\S]*4,000 bytes are kept"):
        get(file, tmp_path)
    assert not (tmp_path / "genes.csv").exists()
    (wanted,) = pending([file], tmp_path)
    assert (wanted.begun, wanted.left) == (4_000, len(CONTENT) - 4_000)
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    assert place.asked[-1] == ("GET", "genes.csv", "bytes=4000-")
    assert [p.name for p in tmp_path.iterdir()] == ["genes.csv"]


def test_a_server_without_ranges_begins_anew(place, tmp_path):
    place.cut["genes.csv"], place.ranges = 4_000, False
    file = place.file("genes.csv")
    with pytest.raises(InputError):
        get(file, tmp_path)
    assert get(file, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("md5", [True, False])
def test_a_file_that_changed_in_between_is_not_put_together_of_two(place, tmp_path, md5):
    place.cut["genes.csv"] = 4_000
    with pytest.raises(InputError):
        get(place.file("genes.csv", md5=md5), tmp_path)
    place.files["genes.csv"] = CONTENT[::-1]
    path = get(place.file("genes.csv", md5=md5), tmp_path)
    assert path.read_bytes() == CONTENT[::-1]


def test_a_wrong_checksum_is_thrown_away(place, tmp_path):
    file = place.file("genes.csv")
    place.files["genes.csv"] = CONTENT[:-1] + b"!"
    with pytest.raises(
        InputError, match=rf"checksum differs[\s\S]*{file.md5}[\s\S]*{place.md5('genes.csv')}"
    ):
        get(file, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_checksum_that_was_interrupted_is_made_again_without_a_download(place, tmp_path):
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    target, checked = tmp_path / "genes.csv", []
    url = place.file(target.name).url
    with pytest.raises(KeyboardInterrupt):
        download(url, target, interrupted, size=len(CONTENT))
    assert (begun(target), target.exists()) == (len(CONTENT), False)
    asked = len(place.asked)
    download(url, target, checked.append, size=len(CONTENT))
    assert (target.read_bytes(), len(checked), len(place.asked)) == (CONTENT, 1, asked)
    assert [p.name for p in tmp_path.iterdir()] == ["genes.csv"]


def test_a_file_that_was_spoilt_later_is_fetched_again(place, tmp_path):
    for md5 in (True, False):
        file = place.file("genes.csv", md5=md5)
        path = get(file, tmp_path / str(md5))
        path.write_bytes(CONTENT[::-1])
        assert [p.file for p in pending([file], tmp_path / str(md5))] == [file]
        assert get(file, tmp_path / str(md5)).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_taken_if_it_has_the_right_size(place, tmp_path):
    file = place.file("genes.csv", md5=False)
    (tmp_path / "genes.csv").write_bytes(CONTENT[:-1])
    assert [p.file for p in pending([file], tmp_path)] == [file]
    (tmp_path / "genes.csv").write_bytes(CONTENT)
    assert pending([file], tmp_path) == []
    assert (tmp_path / "genes.csv.sha256").exists()


def test_without_a_published_checksum_the_one_of_what_came_is_beside_it(place, tmp_path):
    import hashlib

    path = get(place.file("genes.csv", md5=False), tmp_path)
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "genes.csv.sha256").read_text() == f"{digest}  {path.name}\n"
    assert pending([place.file("genes.csv", md5=False)], tmp_path) == []


def test_a_refusal_and_a_silent_server(place, tmp_path):
    absent = RemoteFile("no.csv", f"{place.url}/no.csv", "nothing", None)
    with pytest.raises(InputError, match=r"how large no\.csv is[\s\S]*HTTP 404"):
        pending([absent], tmp_path)
    place.no_size = True
    with pytest.raises(InputError, match="an answer without a size"):
        pending([place.file("genes.csv")], tmp_path)


def test_no_connection(tmp_path):
    with serving({"a": b"x"}) as place:
        file = place.file("a")
    with pytest.raises(InputError, match=r"does not say how large[\s\S]*refused"):
        pending([file], tmp_path)


def test_a_full_disk_is_told_beforehand(tmp_path):
    require_space(1, tmp_path / "new" / "folder")
    with pytest.raises(InputError, match=r"too little room[\s\S]*another disk"):
        require_space(1 << 60, tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_files_have_the_umask_or_stricter(place, tmp_path):
    before = os.umask(0o077)
    try:
        get(place.file("genes.csv", md5=False), tmp_path / "own")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "own").iterdir()]
    assert [mode & 0o077 for mode in modes] == [0, 0]


def test_a_download_says_nothing_by_itself(place, tmp_path, caplog, capfd):
    get(place.file("genes.csv", md5=False), tmp_path)
    assert caplog.text == ""
    assert "".join(capfd.readouterr()) == ""


def test_two_processes_do_not_write_one_file(place, tmp_path):
    (wanted,) = pending([place.file("genes.csv")], tmp_path)
    with (tmp_path / ".genes.csv.part").open("wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process that downloads it now"):
            fetch(wanted, tmp_path)
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT


def test_more_than_the_file_was_kept(place, tmp_path):
    (tmp_path / ".genes.csv.part").write_bytes(CONTENT + b"more")
    assert get(place.file("genes.csv"), tmp_path).read_bytes() == CONTENT
