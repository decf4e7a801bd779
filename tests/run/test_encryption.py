"""Clusters that encrypt: certificates, who is refused, and what does not travel."""

import os
import shutil
import ssl
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app, main
from hapsight.errors import ConfigError, IncompleteError, StoreError
from hapsight.run.cluster import make_certificates
from hapsight.run.executor import run_units
from hapsight.run.guard import Guard
from tests.dask_processes import DaskProcesses
from tests.planted import write_planted
from tests.run.units import double

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of Dask's own sockets and loops
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here"),
]

from hapsight.run.cluster import Cluster, require_encrypted  # noqa: E402


def settings_of(folder: Path) -> dict[str, object]:
    """What Dask reads from a folder of certificates, by dotted keys."""
    (found,) = dask.config.collect_yaml([str(folder / "dask.yaml")])
    return dict(dotted(found))


def dotted(section: dict[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls") / "certificates").parent


@pytest.fixture(scope="module")
def encrypted(certificates, tmp_path_factory):
    """A scheduler and a worker that encrypt."""
    settings = {"DASK_CONFIG": str(certificates / "dask.yaml")}
    with DaskProcesses(tmp_path_factory.mktemp("dask"), **settings) as processes:
        processes.scheduler()
        processes.worker()
        yield processes


@pytest.fixture
def cluster(encrypted, tmp_path):
    (tmp_path / ".lock").write_text("this run")
    return Cluster(str(encrypted.file), Guard((tmp_path / ".lock", "this run")), patience=60)


def test_one_command_makes_what_only_its_owner_can_read(tmp_path):
    old = os.umask(0)
    try:
        found = CliRunner().invoke(app, ["cluster", "certificates", str(tmp_path / "tls"), "--days", "3"])
    finally:
        os.umask(old)
    assert found.exit_code == 0, found.exception
    assert f"export DASK_CONFIG={tmp_path / 'tls/dask.yaml'}" in found.output
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "tls").iterdir()}
    assert modes == {"key.pem": 0o600, "certificate.pem": 0o600, "dask.yaml": 0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    context = ssl.create_default_context(cafile=str(tmp_path / "tls/certificate.pem"))
    context.load_cert_chain(tmp_path / "tls/certificate.pem", tmp_path / "tls/key.pem")
    with pytest.raises(StoreError, match=r"not overwritten[\s\S]*or name another folder"):
        make_certificates(tmp_path / "tls")
    assert make_certificates(tmp_path / "another").exists()  # obeyed


def test_what_could_not_be_made_is_no_hindrance(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(StoreError, match="install openssl"):
            make_certificates(tmp_path / "tls")
    assert make_certificates(tmp_path / "tls").exists()  # obeyed


def test_units_are_done_by_who_has_the_certificate(cluster, certificates):
    with dask.config.set(settings_of(certificates)):
        assert sorted(run_units(double, [1, 2, 3], crew=cluster)) == [2, 4, 6]


def test_a_run_without_certificate_is_told_at_once(cluster):
    with pytest.raises(ConfigError, match=r"this run has none[\s\S]*export DASK_CONFIG"):
        list(run_units(double, [1], crew=cluster))


def test_a_run_whose_key_is_gone_is_told_at_once(cluster, certificates):
    lost = {"distributed.comm.tls.client.key": "/nowhere/key.pem"}
    with (
        dask.config.set(settings_of(certificates)),
        dask.config.set(lost),
        pytest.raises(ConfigError, match=r"this run has none[\s\S]*No such file"),
    ):
        list(run_units(double, [1], crew=cluster))


def test_another_cluster_s_certificate_does_not_let_in(cluster, tmp_path):
    other = make_certificates(tmp_path / "other").parent
    with (
        dask.config.set(settings_of(other)),
        pytest.raises(IncompleteError, match=r"cannot be reached[\s\S]*certificates of this run"),
    ):
        list(run_units(double, [1], crew=replace(cluster, patience=1.0)))


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.1:8786", "head:8786", "ws://10.0.0.1:80", "tcp://[fe80::1]:1"]
)
def test_an_unencrypted_scheduler_elsewhere_is_refused_unless_asked_for(address):
    with pytest.raises(ConfigError, match=r"does not encrypt[\s\S]*unencrypted = true"):
        require_encrypted(address, asked=False)
    require_encrypted(address, asked=True)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "localhost:8786", "tcp://[::1]:8786"])
def test_an_unencrypted_scheduler_on_loopback_is_taken(address):
    require_encrypted(address, asked=False)


def test_the_command_line_says_it_with_the_exit_code_of_configurations(tmp_path, monkeypatch, capsys):
    config = write_planted(tmp_path, people=24, names=("up1",)).config
    monkeypatch.setattr(sys, "argv", ["hapsight", "eqtl", str(config), "--scheduler", "tcp://10.0.0.1:1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "does not encrypt" in capsys.readouterr().err
