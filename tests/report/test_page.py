"""The drawing library, kept from one report to the next."""

from pathlib import Path

import pytest

from hapsight.report import page


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """How often the library was bundled; the user's cache is a folder of the test."""
    made = []
    monkeypatch.setattr(page, "_bundled", lambda version: made.append(version) or f"draw();\n// {version}")
    monkeypatch.setattr(page.platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    return made


def _bundle() -> str:
    page.vega_bundle.cache_clear()
    try:
        return page.vega_bundle()
    finally:
        page.vega_bundle.cache_clear()


def test_the_library_is_bundled_once_and_again_where_what_is_kept_is_damaged(tmp_path, bundled):
    first = _bundle()
    assert _bundle() == first
    assert len(bundled) == 1
    (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
    for spoilt in (kept.read_bytes()[:-1], b"", b"\xff\xfe", b"// no digest"):
        kept.write_bytes(spoilt)
        assert _bundle() == first
        assert kept.read_text().endswith(first)
    assert len(bundled) == 5


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, bundled):
    Path(tmp_path / "cache").write_text("a file where the folder should be")
    assert _bundle() == _bundle()
    assert len(bundled) == 2
