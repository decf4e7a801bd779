from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.errors import WeightsError
from hapsight.models.catalogue import published_weights
from hapsight.models.expecto import load
from hapsight.models.expecto_files import (
    ARCHIVE,
    find_beluga,
    find_heads,
    published_folder,
    tissue_track,
    unpack,
)

OFFICIAL = "https://deepsea.princeton.edu/media/code/expecto/resources_20190807.tar.gz"
HEAD = "allhistones2000.1.fixed.all.pseudocount0.0001.lambda100.round100.basescore2.Liver.save"


def archive(path: Path, *members: tarfile.TarInfo | str) -> Path:
    """A tar.gz of these members; text stands for a regular file of that name, its name its content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(info.name) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(info.name.encode()) if info.isreg() else None)
    return path


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


class TestUnpack:
    def test_takes_what_is_needed_and_nothing_else(self, tmp_path: Path) -> None:
        tar = archive(
            tmp_path / "r.tar.gz", "resources/deepsea.beluga.pth", f"models/{HEAD}", "resources/hg19.fa"
        )
        unpack(tar, tmp_path / "out")
        found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
        assert found == {"deepsea.beluga.pth": "resources/deepsea.beluga.pth", HEAD: f"models/{HEAD}"}

    @pytest.mark.parametrize(
        "member",
        [
            "../deepsea.beluga.pth",
            "resources/../../x.save",
            "/tmp/x.save",
            "../hg19.fa",
            link("x.save", tarfile.SYMTYPE),
            link("deepsea.beluga.pth", tarfile.LNKTYPE),
        ],
    )
    def test_refuses_what_leads_out(self, tmp_path: Path, member: tarfile.TarInfo | str) -> None:
        tar = archive(tmp_path / "r.tar.gz", member)
        with pytest.raises(WeightsError, match="holds a name that leads out of it") as caught:
            unpack(tar, tmp_path / "a" / "out")
        assert caught.value.details["got"] == repr(getattr(member, "name", member))
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["r.tar.gz"]
        assert not (tmp_path / "a" / "out").exists()

    def test_refuses_two_files_of_one_name(self, tmp_path: Path) -> None:
        tar = archive(tmp_path / "r.tar.gz", f"a/{HEAD}", f"b/{HEAD}")
        with pytest.raises(WeightsError, match="one file twice"):
            unpack(tar, tmp_path / "out")

    @pytest.mark.parametrize(("size", "junk"), [(0, b""), (10, b""), (90, b""), (40, b"\xff" * 60)])
    def test_refuses_a_damaged_archive_and_leaves_nothing(
        self, tmp_path: Path, size: int, junk: bytes
    ) -> None:
        whole = archive(tmp_path / "r.tar.gz", "resources/deepsea.beluga.pth").read_bytes()
        (tmp_path / "cut.tar.gz").write_bytes(whole[:size] + junk)
        with pytest.raises(WeightsError, match="cannot be unpacked"):
            unpack(tmp_path / "cut.tar.gz", tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.tar.gz", "r.tar.gz"]

    def test_happens_at_first_use_of_the_published_archive(self, cache: Path) -> None:
        archive(cache / "expecto" / ARCHIVE, "resources/deepsea.beluga.pth", f"models/{HEAD}")
        folder = published_folder()
        assert find_beluga(folder) == folder / "resources_20190807" / "deepsea.beluga.pth"
        assert list(find_heads(folder)) == ["Liver"]
        (folder / ARCHIVE).write_bytes(b"not read a second time")
        assert published_folder() == folder


class TestFind:
    def test_beluga_absent_says_how_to_get_it(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="are not on this machine") as caught:
            find_beluga(tmp_path)
        assert OFFICIAL in caught.value.details["to mend"]

    def test_heads_absent_say_how_to_get_them(self, cache: Path) -> None:
        with pytest.raises(WeightsError, match=r"one \.save file a tissue") as caught:
            load()
        assert caught.value.details["where"] == str(cache / "expecto")
        assert OFFICIAL in caught.value.details["to mend"]

    def test_two_heads_of_one_tissue_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / HEAD).touch()
        (tmp_path / "Liver.save").touch()
        with pytest.raises(WeightsError, match="two heads of one tissue"):
            find_heads(tmp_path)

    def test_what_a_killed_unpacking_left_does_not_count(self, tmp_path: Path) -> None:
        left = tmp_path / ".resources_20190807.1.part"
        left.mkdir()
        (left / HEAD).touch()
        with pytest.raises(WeightsError, match="are not on this machine"):
            find_heads(tmp_path)

    def test_a_file_named_otherwise_is_its_own_tissue(self, tmp_path: Path) -> None:
        (tmp_path / "my.tissue.save").touch()
        assert list(find_heads(tmp_path)) == ["my.tissue"]
        assert tissue_track("my.tissue", tmp_path / "my.tissue.save").units.endswith("a pseudocount")


def test_the_licence_is_told_before_anything_is_fetched(cache: Path) -> None:
    (file,) = published_weights("expecto")
    assert file.url == OFFICIAL
    assert cache / file.filename == cache / "expecto" / ARCHIVE
    found = CliRunner().invoke(app, ["models", "fetch", "expecto"])
    assert isinstance(found.exception, WeightsError)
    assert "academic use only" in str(found.exception)
    assert "--accept-licence" in str(found.exception)
    assert not cache.exists()
