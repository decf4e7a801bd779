"""A crew on other machines: the workers of a Dask scheduler. Dask is imported when there is work.

Encryption between the hosts of a cluster: certificates by one command, nothing in the clear unasked.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hapsight.errors import ConfigError, IncompleteError, MissingExtraError, StoreError, in_shell
from hapsight.run.executor import Crew
from hapsight.run.guard import Guard, Spool, do_parcel, parcel
from hapsight.run.sections import find_address

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "make_certificates", "require_encrypted"]

SETTINGS: Final = "dask.yaml"
"""File in the folder of certificates that ``DASK_CONFIG`` is set to, for scheduler, workers and run alike."""

_MAKE: Final = "hapsight cluster certificates FOLDER"

_YAML: Final = """\
# For scheduler, workers and hapsight alike: export DASK_CONFIG={settings}
distributed:
  comm:
    default-scheme: tls
    require-encryption: true
    tls:
      ca-file: {certificate}
      scheduler: {{cert: {certificate}, key: {key}}}
      worker: {{cert: {certificate}, key: {key}}}
      client: {{cert: {certificate}, key: {key}}}
"""


def make_certificates(folder: Path, days: int = 365) -> Path:
    """Make a key, a certificate that it signs itself, and Dask's settings that let in nobody without the key.

    Parameters
    ----------
    folder
        Made here, for its owner alone, as is all in it.
    days
        For which the certificate holds.

    Returns
    -------
    The file of settings, for ``DASK_CONFIG``.

    Raises
    ------
    StoreError
        The folder is there already, or cannot be made, or openssl is not there or fails.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise StoreError(
            "There is such a folder already; keys are not overwritten.",
            where=folder,
            fix="use the certificates in it, or name another folder",
        ) from None
    except OSError as error:
        raise StoreError("Certificates cannot be made.", where=folder, got=error) from None
    try:
        settings = _filled(folder, days)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # made above, so that the next try can make it
        raise
    return settings


def _filled(folder: Path, days: int) -> Path:
    settings = folder / SETTINGS
    try:
        with tempfile.TemporaryDirectory(dir=folder) as made:
            _openssl(Path(made), days)
            for name in ("key.pem", "certificate.pem"):
                (Path(made) / name).chmod(0o600)
                (Path(made) / name).rename(folder / name)
        settings.touch(mode=0o600, exist_ok=False)
        paths = {name: json.dumps(f"{folder}/{name}.pem") for name in ("certificate", "key")}
        settings.write_text(_YAML.format(settings=in_shell(settings), **paths))
    except OSError as error:
        raise StoreError("Certificates cannot be made.", where=folder, got=error) from None
    return settings


def _openssl(folder: Path, days: int) -> None:
    """Have a key and a certificate written; nobody but their owner can ever open the key."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-sha256", "-nodes", "-days", str(days)]
    command += ["-subj", "/CN=hapsight cluster", "-keyout", "key.pem", "-out", "certificate.pem"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, umask=0o077, check=False)
    except FileNotFoundError:
        raise StoreError(
            "Certificates are made with openssl, which is not here.",
            fix="install openssl, or make them on another host and copy the folder",
        ) from None
    if done.returncode:
        raise StoreError("openssl made no certificate.", got=done.stderr.strip().rpartition("\n")[2])


def require_encrypted(address: str, asked: bool) -> None:
    """Refuse what would send genotypes and expression in the clear, or run the programs of strangers.

    Parameters
    ----------
    address
        Of the scheduler, as Dask reads it.
    asked
        Whether an unencrypted scheduler on another host is wanted all the same.

    Raises
    ------
    ConfigError
        It is not on this host's loopback and not encrypted; or it is encrypted, and this run has no
        certificate, or one that cannot be read.
    """
    from distributed.comm.addressing import parse_address, parse_host_port

    scheme, location = parse_address(address)
    if scheme in ("tls", "wss"):
        _require_certificates(address)
    elif not asked and scheme != "inproc" and not _is_loopback(parse_host_port(location, 0)[0]):
        raise ConfigError(
            "The scheduler is on a network and does not encrypt: others could read data and run programs.",
            where=address,
            expected="tls://, or a scheduler on this host's loopback",
            got=f"{scheme}://",
            fix=f"run `{_MAKE}`, export DASK_CONFIG=FOLDER/{SETTINGS} for scheduler, workers and this run, "
            "and start all again; or set [cluster] unencrypted = true, if nobody else is on that network",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_certificates(address: str) -> None:
    from distributed.security import Security

    try:
        configured: Any = Security
        context = configured().get_connection_args("client")["ssl_context"]
    except (OSError, TypeError, ValueError) as error:
        raise _no_certificate(address, error) from None
    if context is None:
        raise _no_certificate(address, f"DASK_CONFIG={os.environ.get('DASK_CONFIG', '')}")


def _no_certificate(address: str, got: object) -> ConfigError:
    return ConfigError(
        "The scheduler lets in only who has a certificate, and this run has none that can be used.",
        where=address,
        expected="Dask's settings distributed.comm.tls: ca-file, and cert and key of the client",
        got=got,
        fix=f"export DASK_CONFIG=FOLDER/{SETTINGS}, as for scheduler and workers; `{_MAKE}` makes it",
    )


_AHEAD: Final = 2
"""Units handed over for every thread of the workers, so that none waits for the next."""


@dataclass(frozen=True, slots=True)
class Cluster(Crew):
    """The workers of a Dask scheduler.

    Attributes
    ----------
    scheduler
        Its address, or its scheduler file.
    resources
        What a worker must offer to be given a unit, such as ``{"GPU": 1}``.
    tries_again
        How often the scheduler has a unit done again that failed.
    patience
        Seconds without the scheduler, or without a worker, after which to give up.
    unencrypted
        Whether a scheduler of another host may do without encryption.
    """

    scheduler: str
    guard: Guard
    resources: Mapping[str, float] = field(default_factory=dict)
    tries_again: int = 2
    patience: float = 120.0
    unencrypted: bool = False
    width: int | None = None
    retries: int = field(default=0, init=False)

    def __str__(self) -> str:
        return f"workers of {self.scheduler}"

    @property
    def died(self) -> tuple[type[Exception], ...]:  # type: ignore[override]
        """See `Crew`; after several deaths by the scheduler's ``allowed-failures``."""
        return (_distributed().KilledWorker,)

    @contextmanager
    def at_work(self, units: int) -> Iterator[Executor]:
        """See `Crew`.

        Raises
        ------
        IncompleteError
            The scheduler does not answer in time.
        ConfigError
            As `hapsight.run.cluster.require_encrypted`.
        MissingExtraError
            Dask is not installed.
        """
        with _connected(self) as client, Spool.beside(self.guard.mark[0]) as spool:
            yield _Workers(client, self, spool)

    def in_flight(self, executor: Executor) -> int:
        """See `Crew`."""
        assert isinstance(executor, _Workers)
        return self.width or executor.threads() * _AHEAD or 1

    def alone(self) -> Crew:
        """See `Crew`."""
        return replace(self, width=1)

    def given_up(self, executor: Executor) -> IncompleteError | None:
        """See `Crew`."""
        assert isinstance(executor, _Workers)
        if executor.threads():
            executor.seen = time.monotonic()
        if time.monotonic() - executor.seen <= self.patience:
            return None
        wanted = ", ".join(f"{name}={count:g}" for name, count in self.resources.items())
        return IncompleteError(
            f"The scheduler has had no worker for {self.patience:g} s.",
            where=self.scheduler,
            expected=f"workers that offer {wanted}" if wanted else "a worker",
            got=executor.workers_in_words(),
            fix="start workers and run the same command again: finished units are kept",
        )


class _Workers(Executor):
    """Sends units, guarded, to the workers of a client.

    Attributes
    ----------
    seen
        When there was a worker last.
    """

    def __init__(self, client: Client, cluster: Cluster, spool: Spool) -> None:
        self._client, self._cluster, self._spool = client, cluster, spool
        open_executor: Any = client.get_executor
        self._executor = open_executor(
            pure=False, retries=cluster.tries_again, resources=dict(cluster.resources)
        )
        self.seen = time.monotonic()
        self._threads, self._counted = 0, 0.0

    def submit(  # type: ignore[override]
        self, work: Callable[[Any], Any], /, unit: object
    ) -> Future[Any]:
        self._require_connection()
        try:
            packed = parcel(work, unit, self._cluster.guard, self._spool)
            sent: Future[Any] = self._executor.submit(do_parcel, packed)
        except (OSError, RuntimeError) as error:  # the client is closed
            raise BrokenExecutor(str(error)) from error
        return sent

    def threads(self) -> int:
        """Threads of the workers that may be given units, counted at most once a second."""
        if time.monotonic() - self._counted > 1.0:
            wanted, workers = self._cluster.resources, self._workers()
            self._threads = sum(
                worker["nthreads"]
                for worker in workers
                if all(worker["resources"].get(name, 0) >= count for name, count in wanted.items())
            )
            self._counted = time.monotonic()
        return self._threads

    def workers_in_words(self) -> str:
        """What workers there are, for an error."""
        workers = self._workers()
        offers = "; ".join(f"{w['name']} offers {w['resources'] or 'nothing'}" for w in workers[:5])
        return f"{len(workers)} workers" + (f": {offers}" if offers else "")

    def _workers(self) -> list[Any]:
        self._require_connection()
        try:
            return list(self._client.scheduler_info(n_workers=-1)["workers"].values())
        except (OSError, RuntimeError) as error:
            raise BrokenExecutor(str(error)) from error

    def _require_connection(self) -> None:
        """A client whose scheduler is gone has lost its units, even if another answers at its address."""
        if self._client.status != "running":
            raise BrokenExecutor(f"the connection to {self._cluster.scheduler} is {self._client.status}")


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Client]:
    """A client of the scheduler, closed in the end."""
    dask, deadline = _distributed(), time.monotonic() + cluster.patience
    address = find_address(cluster.scheduler, deadline)
    while True:
        require_encrypted(address, cluster.unencrypted)
        try:
            client = dask.Client(address, timeout=max(1.0, deadline - time.monotonic()), set_as_default=False)
            break
        except (OSError, TimeoutError) as error:
            if time.monotonic() >= deadline:
                raise IncompleteError(
                    "The scheduler cannot be reached.",
                    where=cluster.scheduler,
                    got=f"{address}: {error}",
                    fix="start it, with the certificates of this run if it has any, and run the same command "
                    "again: finished units are kept",
                ) from error
            time.sleep(1.0)
            address = find_address(cluster.scheduler, deadline)
    try:
        yield client
    finally:
        with suppress(OSError, RuntimeError, TimeoutError, AssertionError):  # it may be gone already
            client.close(timeout=5)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "Dask is not installed, and a scheduler needs it.", fix="pip install 'hapsight[cluster]'"
        ) from error
    return distributed
