"""A run on the hosts that ``tools/netns_campaign.sh`` sets up, while workers and scheduler come and go."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.entry_point import offer_model
from tests.planted import write_planted
from tools.faults.cohort import Cohort

from hapsight.run.cluster import make_certificates

ROOT = Path(__file__).resolve().parents[2]
SCHEDULER = "tls://10.77.0.2:8786"
ADDRESSES = {"front": "10.77.0.1", "head": "10.77.0.2", "left": "10.77.0.3", "right": "10.77.0.4"}
GENES = tuple(f"{kind}{number}" for number in range(1, 8) for kind in ("up", "null"))
DASHBOARD = "--dashboard-address 127.0.0.1:0"
SILENCE = 8
"""Seconds after which the scheduler takes a silent worker for lost."""

SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{SILENCE}s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
}


class Hosts:
    """Processes on the hosts; leaving the ``with`` block kills them."""

    def __init__(self, net: str, folder: Path) -> None:
        self.net, self.folder = net, folder
        self.settings = make_certificates(folder / "certificates")
        self._started: list[subprocess.Popen] = []

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            kill(process)

    def start(self, host: str, log: str, command: list[str], **environment: str) -> subprocess.Popen:
        """Start a command on a host."""
        path = os.pathsep.join(map(str, (ROOT / "src", ROOT, self.folder)))
        own = {"PYTHONPATH": path, "DASK_CONFIG": str(self.settings)}
        with (self.folder / log).open("ab") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", f"{self.net}-{host}", *command],
                cwd=ROOT,
                env={**os.environ, **SETTINGS, **own, **environment},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def scheduler(self) -> subprocess.Popen:
        """Start the scheduler, always at one address."""
        options = f"--host {ADDRESSES['head']} --port 8786 {DASHBOARD}".split()
        return self.start(
            "head", "head.log", [sys.executable, "-m", "distributed.cli.dask_scheduler", *options]
        )

    def worker(self, host: str) -> subprocess.Popen:
        """Keep a worker on a host: one that ends is followed by another, as the recipes have it."""
        options = f"--host {ADDRESSES[host]} --nthreads 1 {DASHBOARD} --local-directory {self.folder}"
        command = f"{sys.executable} -m distributed.cli.dask_worker {SCHEDULER} {options}"
        return self.start(host, f"{host}.log", ["sh", "-c", f"while :; do {command}; sleep 1; done"])

    def arrivals(self, host: str) -> int:
        """How often a worker of a host has been taken on."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / f"{host}.log").read_text().count("Registered to")
        return 0

    def await_arrival(self, host: str, before: int) -> float:
        """Wait for one more; returns the seconds that took."""
        start = time.monotonic()
        while self.arrivals(host) <= before:
            assert time.monotonic() < start + 120, f"no worker came back on {host}"
            time.sleep(0.1)
        return time.monotonic() - start

    def strangers(self, host: str) -> list[str]:
        """Where something listens on a host that is neither its own address nor loopback."""
        own = (ADDRESSES[host], "127.0.0.1", "[::1]")
        command = ["ip", "netns", "exec", f"{self.net}-{host}", "ss", "-ltnH"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [line.split()[3] for line in lines if line.split()[3].rpartition(":")[0] not in own]

    def link(self, host: str, state: str) -> None:
        """Plug a host into the switch, or unplug it."""
        subprocess.run(["ip", "-n", f"{self.net}-switch", "link", "set", host, state], check=True)

    def run(self, config: str, **environment: str) -> subprocess.Popen:
        """Start the units of a run on the front host."""
        command = [sys.executable, "-m", "tools.faults.units", str(self.folder / config)]
        return self.start("front", "run.log", command, **environment)


class Campaign:
    """Runs, and whether their tables are those of one process."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts, self.lost = hosts, 0
        self.cohort = Cohort(hosts.folder)
        self.head = hosts.scheduler()
        self.workers: dict[str, subprocess.Popen] = {}

    def undisturbed(self, name: str, config: str = "cluster.toml") -> None:
        """A run from the start that nothing happens to."""
        self.cohort.clear()
        start = time.monotonic()
        self._end(name, self.hosts.run(config).wait(), start, "")

    def disturbed(self, name: str, disturb: Callable[[], str]) -> None:
        """A run from the start, with something happening once it has mapped three blocks."""
        self.cohort.clear()
        start, run = time.monotonic(), self.hosts.run("cluster.toml")
        while len(list(self.cohort.output.glob("eqtl/block-*.json"))) < 3 and run.poll() is None:
            time.sleep(0.05)
        assert run.poll() is None, "the run was over before anything happened"
        remark = disturb()
        code, tries = run.wait(), 1
        while code == 3 and tries < 3:
            code, tries = self.hosts.run("cluster.toml").wait(), tries + 1
        self._end(name, code, start, f", {remark}, {tries} command(s)")

    def look_who_listens(self) -> None:
        """Say what listens on every host, and count what should not."""
        for host in ADDRESSES:
            found = self.hosts.strangers(host)
            self.lost += len(found)
            print(f"{host} listens elsewhere: {', '.join(found) or 'nothing'}", flush=True)

    def refuse_strangers(self) -> None:
        """Runs without a certificate, with another cluster's, and in the clear."""
        other = str(make_certificates(self.hosts.folder / "others"))
        self.refused("a run without certificate", "cluster.toml", "this run has none", DASK_CONFIG="/nowhere")
        self.refused("a run that does not encrypt", "open.toml", "does not encrypt", DASK_CONFIG="/nowhere")
        self.refused("a stranger's certificate", "short.toml", "cannot be reached", DASK_CONFIG=other)

    def refused(self, name: str, config: str, words: str, **environment: str) -> None:
        """A run that must not be let in, and must say why."""
        self.cohort.clear()
        (self.hosts.folder / "run.log").unlink(missing_ok=True)
        code = self.hosts.run(config, **environment).wait()
        said = (self.hosts.folder / "run.log").read_text()
        ok = code != 0 and words in said and "Traceback" not in said
        self.lost += not ok
        print(f"{name:34} {'refused' if ok else 'LOST: ' + said[-500:]}", flush=True)

    def staff(self, *names: str) -> None:
        """Start workers and wait until they are taken on."""
        before = {host: self.hosts.arrivals(host) for host in names}
        self.workers |= {host: self.hosts.worker(host) for host in names}
        for host in names:
            self.hosts.await_arrival(host, before[host])

    def kill_worker(self) -> str:
        """A host goes down for good."""
        kill(self.workers["right"])
        return "killed with its nanny"

    def cut_off(self) -> str:
        """A host is unplugged for longer than the scheduler waits, and plugged in again."""
        before = self.hosts.arrivals("right")
        self.hosts.link("right", "down")
        time.sleep(2.5 * SILENCE)
        self.hosts.link("right", "up")
        later = self.hosts.await_arrival("right", before)
        return f"away {2.5 * SILENCE:.0f} s, taken on again {later:.0f} s later"

    def restart_scheduler(self) -> str:
        """The scheduler is killed, and another takes its place some seconds later."""
        kill(self.head)
        time.sleep(5)
        self.head = self.hosts.scheduler()
        return "gone for 5 s"

    def _end(self, name: str, code: int, start: float, remark: str) -> None:
        seconds = time.monotonic() - start
        if not self.cohort.expected:
            self.cohort.expected = self.cohort.digests()
        wrong = self.cohort.wrong()
        ok = code == 0 and not wrong
        self.lost += not ok
        same = f"{len(self.cohort.expected)} files the same" if ok else f"LOST: exit {code}, {wrong[:5]}"
        print(f"{name:34} {seconds:6.1f} s  {same}{remark}", flush=True)


def kill(process: subprocess.Popen) -> None:
    """Kill a process and its children, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> int:
    """Run the campaign in the namespaces whose names begin with the first argument."""
    net, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    _write(folder)
    with Hosts(net, folder) as hosts:
        campaign = Campaign(hosts)
        campaign.undisturbed("one process", "alone.toml")
        campaign.staff("left", "right")
        campaign.look_who_listens()
        campaign.refuse_strangers()
        campaign.undisturbed("two workers, just started")
        campaign.undisturbed("two workers")
        campaign.disturbed("one of two workers killed", campaign.kill_worker)
        campaign.undisturbed("one worker")
        campaign.staff("right")
        campaign.disturbed("one of two workers cut off", campaign.cut_off)
        campaign.disturbed("scheduler killed and started anew", campaign.restart_scheduler)
    print("nothing lost" if not campaign.lost else f"{campaign.lost} LOST: {folder}")
    return int(campaign.lost > 0)


def _write(folder: Path) -> None:
    """A planted cohort with units of about half a second."""
    text = write_planted(folder, people=60, names=GENES).config.read_text()
    text = re.sub(r"genes_per_unit = \d", "genes_per_unit = 1", text)
    text = text.replace("[baseline]\n", '[baseline]\nmethods = ["elastic_net"]\n')
    text += "[eqtl]\npermutations = 8000\nfdr = 1e-300\ngenes_per_unit = 1\n"
    (folder / "alone.toml").write_text(text)
    cluster = f'{text}[cluster]\nscheduler = "{SCHEDULER}"\n'
    (folder / "cluster.toml").write_text(cluster)
    (folder / "open.toml").write_text(cluster.replace("tls://", "tcp://"))
    (folder / "short.toml").write_text(f"{cluster}patience = 3\n")
    offer_model(folder, "toy", "tests.planted:load_toy")


if __name__ == "__main__":
    sys.exit(main())
