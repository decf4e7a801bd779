"""The demo touches the network only when it is asked to."""

import urllib.request

import pytest

from hapsight.recipes.demo import demo_config


@pytest.mark.parametrize("fetch", [False, True])
def test_the_network_is_used_where_it_is_asked_for(tmp_path, monkeypatch, fetch):
    asked = []

    def refuse(url, **_):
        asked.append(url)
        raise OSError("no network")

    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    config, remarks = demo_config(tmp_path / "run", fetch)
    assert bool(asked) == fetch
    assert [model.name for model in config.models] == ["mini"]
    (remark,) = remarks
    assert "xpresso was left out" in remark
    assert "no network" in remark if fetch else remark.endswith("`hapsight demo --fetch` downloads them.")
