import errno
import json

import polars as pl
import pytest

from hapsight.errors import IncompleteError, StoreError
from hapsight.files import write_atomically
from hapsight.run.store import STAGES, UnitKey, UnitStore, content_key

TABLE = pl.DataFrame({"gene_id": ["a", "b"], "value": [1.0, 2.0]})


@pytest.fixture
def store(tmp_path):
    store = UnitStore(tmp_path / "units")
    store.write("block-0", "key", {"values": TABLE})
    return store


def test_what_was_written_is_read(store):
    assert store.done("block-0", "key")
    assert store.read([UnitKey("block-0", "key")], "values").equals(TABLE)
    assert not list(store.folder.glob("*.tmp"))


def test_another_key_is_not_done(store):
    assert not store.done("block-0", "other")


def test_a_changed_or_cut_table_is_not_done(store):
    path = store.folder / "block-0.values.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert not store.done("block-0", "key")
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    assert not store.done("block-0", "key")
    path.unlink()
    assert not store.done("block-0", "key")


@pytest.mark.parametrize(
    "seal", ["", "{", "[]", '{"key": "key"}', '{"key": "key", "tables": 3}', '{"key": "key", "tables": {}}']
)
def test_a_broken_seal_is_not_done(store, seal):
    (store.folder / "block-0.json").write_text(seal)
    assert not store.done("block-0", "key")


def test_tables_without_a_seal_are_not_done(store):
    (store.folder / "block-0.json").unlink()
    assert not store.done("block-0", "key")


def test_missing_units_are_listed(store):
    with pytest.raises(IncompleteError, match=r"2 of 3 units[\s\S]*block-1, block-2"):
        store.read([UnitKey(f"block-{number}", "key") for number in range(3)], "values")


def test_what_cannot_be_written_is_told_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.parquet"
    write_atomically(path, b"old")

    def is_full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", is_full)
    with pytest.raises(StoreError, match=r"cannot be written[\s\S]*table\.parquet[\s\S]*got: No space left"):
        write_atomically(path, b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_the_seal_comes_last(tmp_path, monkeypatch):
    """Dying between table and seal leaves a unit that is not done."""
    import hapsight.run.store as module

    def dies_at_the_seal(path, data):
        if path.suffix == ".json":
            raise KeyboardInterrupt
        write_atomically(path, data)

    monkeypatch.setattr(module, "write_atomically", dies_at_the_seal)
    store = UnitStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.write("block-0", "key", {"values": TABLE})
    assert (tmp_path / "block-0.values.parquet").exists()
    assert not store.done("block-0", "key")


def test_keys_depend_on_every_part_and_not_on_order():
    one = content_key("predict", {"a": 1, "b": [1, 2]})
    assert one == content_key("predict", {"b": [1, 2], "a": 1})
    assert one != content_key("predict", {"a": 1, "b": [2, 1]})
    assert one != content_key("eqtl", {"a": 1, "b": [1, 2]})
    assert json.loads(json.dumps(one)) == one


@pytest.mark.parametrize("stage", STAGES)
def test_another_version_of_a_stages_code_has_other_keys(stage, monkeypatch):
    before = {name: content_key(name, {}) for name in STAGES}
    monkeypatch.setitem(STAGES, stage, STAGES[stage] + 1)
    assert [name for name in STAGES if content_key(name, {}) != before[name]] == [stage]


def test_units_of_two_keys_lie_side_by_side(store):
    name = store.name_for("block-0", "other")
    assert name.startswith("block-0-")
    assert store.name_for("block-0", "key") == "block-0"
    store.write(name, "other", {"values": TABLE.reverse()})
    assert store.read([UnitKey("block-0", "key")], "values").equals(TABLE)
    assert store.read([UnitKey(name, "other")], "values").equals(TABLE.reverse())
    assert store.sealed() == {"block-0": "key", name: "other"}
    (store.folder / "block-0.json").write_text("{")
    assert store.name_for("block-0", "other") == "block-0"
    assert store.sealed() == {name: "other"}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
