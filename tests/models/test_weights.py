from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hapsight.errors import ConfigError, WeightsError
from hapsight.models.catalogue import WEIGHTS, published_weights
from hapsight.models.weights import (
    WeightsFile,
    cache_folder,
    fetch,
    find,
    locate,
    sha256_of,
    verify,
    verify_recorded,
)
from tests.recipes.server import serving

CONTENT = bytes(range(256)) * 1000
Answer = Callable[[BaseHTTPRequestHandler], None]


def file_at(url: str) -> WeightsFile:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return WeightsFile("toy", "small", "small_epoch3.h5", url, digest, len(CONTENT), "MIT")


def answer(
    content: bytes, *, status: int = 200, kind: str = "application/octet-stream", length: int = -1
) -> Answer:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content) if length < 0 else length))
        handler.end_headers()
        handler.wfile.write(content)

    return send


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], WeightsFile]]:
    """Serve one answer to every request on loopback; gives the file whose url it is."""
    servers: list[HTTPServer] = []

    def start(how: Answer) -> WeightsFile:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                how(self)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return file_at(f"http://127.0.0.1:{server.server_port}/small_epoch3.h5")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestFolder:
    def test_is_what_the_environment_says(self, cache: Path) -> None:
        assert cache_folder() == cache

    def test_is_the_users_cache_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HAPSIGHT_WEIGHTS")
        assert cache_folder().parts[-2:] == ("hapsight", "weights")


class TestLocate:
    @pytest.mark.parametrize("name", ["small_epoch3.h5", "small.h5"])
    def test_finds_published_and_short_names(self, cache: Path, name: str) -> None:
        cache.mkdir()
        (cache / name).write_bytes(CONTENT)
        assert locate(file_at("http://x")) == cache / name

    def test_absent_says_where_from_and_how(self, cache: Path) -> None:
        with pytest.raises(WeightsError) as caught:
            locate(file_at("http://x/small_epoch3.h5"))
        message = str(caught.value)
        assert message.startswith("The weights small of toy are not on this machine.")
        assert f"where: {cache / 'small_epoch3.h5'}" in message
        assert f"256,000 bytes, sha256 {hashlib.sha256(CONTENT).hexdigest()}" in message
        assert "`hapsight models fetch toy`" in message
        assert (
            f"download http://x/small_epoch3.h5 by hand and put it at {cache / 'small_epoch3.h5'}" in message
        )


class TestVerify:
    def test_right(self, tmp_path: Path) -> None:
        path = tmp_path / "w"
        path.write_bytes(CONTENT)
        verify(path, hashlib.sha256(CONTENT).hexdigest())

    def test_wrong_names_both_digests(self, tmp_path: Path) -> None:
        path = tmp_path / "w"
        path.write_bytes(b"abc")
        message = rf"differs.\n  where: {path}\n  expected: sha256 0000\n  got: sha256 ba7816bf.* \(3 bytes\)"
        with pytest.raises(WeightsError, match=message):
            verify(path, "0000")


class TestFetch:
    def test_brings_the_file_and_reports_progress(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        seen: list[tuple[int, int]] = []
        path = fetch(serve(answer(CONTENT)), progress=lambda done, total: seen.append((done, total)))
        assert path == cache / "small_epoch3.h5"
        assert path.read_bytes() == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert list(cache.iterdir()) == [path]

    def test_asks_nobody_when_the_file_is_here(self, cache: Path) -> None:
        cache.mkdir()
        (cache / "small.h5").write_bytes(CONTENT)
        assert fetch(file_at("http://127.0.0.1:1/never")) == cache / "small.h5"

    def test_replaces_a_damaged_file(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        cache.mkdir()
        (cache / "small_epoch3.h5").write_bytes(CONTENT[:100])
        assert sha256_of(fetch(serve(answer(CONTENT)))) == hashlib.sha256(CONTENT).hexdigest()

    @pytest.mark.parametrize(
        ("how", "got"),
        [
            (answer(b"x" * len(CONTENT)), r"256,000 bytes with sha256 [0-9a-f]{64}"),
            (answer(CONTENT[:1000], length=len(CONTENT)), "cut short after 1,000 bytes"),
            (answer(CONTENT[:1000]), "cut short after 1,000 bytes"),
            (answer(CONTENT + b"more"), "longer than the file"),
            (
                answer(b"<html>log in</html>", kind="text/html; charset=utf-8"),
                "a web page instead of the file",
            ),
            (answer(b"no", status=404), "HTTP 404 Not Found"),
            (answer(b"no", status=503), "HTTP 503 Service Unavailable"),
        ],
        ids=["checksum", "truncated", "short", "oversized", "page", "404", "503"],
    )
    def test_refuses_anything_else(self, serve, cache: Path, how: Answer, got: str) -> None:  # type: ignore[no-untyped-def]
        file = serve(how)
        with pytest.raises(WeightsError, match=got) as caught:
            fetch(file, timeout=5)
        assert caught.value.what == "The weights small of toy could not be downloaded."
        assert f"put it at {cache / file.filename}" in caught.value.details["to mend"]
        kept = sorted(path.name for path in cache.iterdir())
        assert kept in ([], [".small_epoch3.h5.part", ".small_epoch3.h5.part.etag"]), "only what can go on"
        assert bool(kept) == ("cut short" in got) == ("are kept" in caught.value.details["to mend"])

    def test_a_broken_download_goes_on_where_it_was(self, cache: Path) -> None:
        with serving({"small_epoch3.h5": CONTENT}) as place:
            place.cut["small_epoch3.h5"] = 100_000
            file = file_at(f"{place.url}/small_epoch3.h5")
            with pytest.raises(WeightsError, match=r"cut short[\s\S]*100,000 bytes are kept"):
                fetch(file)
            path = fetch(file)
            assert place.asked[-1] == ("GET", "small_epoch3.h5", "bytes=100000-")
        assert path.read_bytes() == CONTENT
        assert list(cache.iterdir()) == [path]

    def test_a_part_that_is_all_there_is_without_a_published_size(self, cache: Path) -> None:
        cache.mkdir()
        (cache / ".small_epoch3.h5.part").write_bytes(CONTENT)
        with serving({"small_epoch3.h5": CONTENT}) as place:
            file = replace(file_at(f"{place.url}/small_epoch3.h5"), size=None)
            assert fetch(file).read_bytes() == CONTENT

    def test_a_damaged_file_stays_when_the_download_fails(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        cache.mkdir()
        (cache / "small_epoch3.h5").write_bytes(b"old")
        with pytest.raises(WeightsError):
            fetch(serve(answer(b"no", status=404)))
        assert (cache / "small_epoch3.h5").read_bytes() == b"old"

    def test_without_a_published_checksum_what_came_is_recorded(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        file = replace(serve(answer(CONTENT)), sha256=None, size=None, filename="toy/small.h5")
        path = fetch(file)
        digest = hashlib.sha256(CONTENT).hexdigest()
        assert (cache / "toy/small.h5.sha256").read_text() == f"{digest}  small.h5\n"
        assert fetch(replace(file, url="http://127.0.0.1:1/never")) == path, "it is here and whole"
        verify_recorded(path)
        path.write_bytes(CONTENT[:-1])
        with pytest.raises(
            WeightsError, match="not the one that was fetched: its checksum differs"
        ) as caught:
            verify_recorded(path)
        assert caught.value.details["expected"] == f"sha256 {digest}"
        assert caught.value.details["to mend"].startswith("delete the file and fetch it again")
        path.unlink()
        verify_recorded(fetch(file))  # obeyed
        path.write_bytes(CONTENT[:-1])
        assert fetch(file).read_bytes() == CONTENT, "a damaged file is fetched anew"

    def test_an_md5_is_checked_where_it_is_all_there_is(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        md5 = hashlib.md5(CONTENT).hexdigest()
        whole = replace(serve(answer(CONTENT)), sha256=None, size=None, md5=md5)
        assert fetch(whole).read_bytes() == CONTENT
        other = replace(serve(answer(CONTENT[:-1])), sha256=None, size=None, md5=md5, filename="other.h5")
        with pytest.raises(WeightsError, match="with md5 ") as caught:
            fetch(other)
        assert caught.value.details["expected"] == f"a whole file, md5 {md5}"

    def test_without_a_published_size_an_answer_cut_short_is_noticed(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        how = answer(CONTENT[:1000], length=len(CONTENT))
        with pytest.raises(WeightsError, match=r"cut short after 1,000 bytes|IncompleteRead"):
            fetch(replace(serve(how), sha256=None, size=None))

    def test_offline_says_where_to_put_the_file(self, cache: Path) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            file = file_at(f"http://127.0.0.1:{unused.getsockname()[1]}/small_epoch3.h5")
            with pytest.raises(WeightsError, match="Connection refused") as caught:
                fetch(file, timeout=2)
        assert f"put it at {cache / 'small_epoch3.h5'}" in str(caught.value)

    def test_silence_ends_after_the_timeout(self, serve) -> None:  # type: ignore[no-untyped-def]
        release = threading.Event()
        file = serve(lambda _: release.wait(10))
        try:
            with pytest.raises(WeightsError, match="timed out"):
                fetch(file, timeout=0.2)
        finally:
            release.set()

    def test_a_folder_that_cannot_be_made(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        cache.write_text("a file where the folder should be")
        with pytest.raises(WeightsError, match="could not be downloaded"):
            fetch(serve(answer(CONTENT)))


class TestCatalogue:
    def test_urls_end_in_the_file_names_and_digests_are_whole(self) -> None:
        for files in WEIGHTS.values():
            assert len({file.name for file in files}) == len(files)
            for file in files:
                assert file.url.startswith("https://")
                assert file.model == "borzoi" or Path(file.filename).suffix == Path(file.url).suffix
                assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
                assert file.md5 is None or len(bytes.fromhex(file.md5)) == 16

    def test_the_real_files_have_the_stated_size_and_digest(
        self, shared_data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(shared_data / "xpresso"))
        present = [file for file in WEIGHTS["xpresso"] if find(file)]
        assert {file.name for file in present} == {"GM12878", "humanMedian"}
        for file in present:
            verify(locate(file), file.sha256)
            assert locate(file).stat().st_size == file.size

    def test_all_or_one_by_name(self) -> None:
        assert len(published_weights("xpresso")) == 5
        assert [file.name for file in published_weights("xpresso", "K562")] == ["K562"]

    def test_unknown_names_list_what_there_is(self) -> None:
        with pytest.raises(ConfigError, match=r"a model 'expresso'.\n  expected: xpresso"):
            published_weights("expresso")
        with pytest.raises(ConfigError, match=r"weights 'HeLa'.\n  expected: GM12878, K562, humanMedian"):
            published_weights("xpresso", "HeLa")

    def test_files_cannot_be_changed_in_passing(self) -> None:
        changed = replace(WEIGHTS["xpresso"][0], size=1)
        assert WEIGHTS["xpresso"][0].size != changed.size


class TestTrustOnFirstUse:
    def test_what_comes_later_must_be_what_came_first(self, serve, cache: Path) -> None:  # type: ignore[no-untyped-def]
        first = replace(serve(answer(CONTENT)), sha256=None, size=None)
        path = fetch(first)
        path.unlink()
        other = replace(serve(answer(CONTENT[:-1])), sha256=None, size=None)
        with pytest.raises(WeightsError, match=r"not those that were fetched before[\s\S]*delete .*\.sha256"):
            fetch(other)
        assert not path.exists()
        path.with_name(path.name + ".sha256").unlink()
        assert fetch(other).read_bytes() == CONTENT[:-1], "what the error says mends it"

    def test_a_file_put_there_by_hand_is_held_to_what_it_was_at_first(self, tmp_path: Path) -> None:
        path = tmp_path / "model.h5"
        path.write_bytes(CONTENT)
        verify_recorded(path)
        path.write_bytes(CONTENT[:-1])
        with pytest.raises(WeightsError, match=r"checksum differs[\s\S]*on purpose, delete .*\.sha256"):
            verify_recorded(path)
        path.with_name("model.h5.sha256").unlink()
        verify_recorded(path)
