"""A crew on other machines: the workers of a Dask scheduler. Dask is imported when there is work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from hapsight.errors import IncompleteError, MissingExtraError
from hapsight.predict.address import find_address
from hapsight.predict.encryption import require_encrypted
from hapsight.predict.executor import Crew
from hapsight.predict.guard import Guard, Spool, do_parcel, parcel

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster"]

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
            As `hapsight.predict.encryption.require_encrypted`.
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
