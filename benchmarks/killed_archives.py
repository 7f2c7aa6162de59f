"""Archives whose workers, machines and commands are killed at random times: what that costs, and whose rows they have.

python benchmarks/killed_archives.py [--kills 20] [--seed 1] [--clip VIDEO] [--only "the command"]

Workers of this machine first, then a Ray cluster of two machines of a CPU each, which are processes here.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from common import clip_720p, parser, print_machine, print_table, say
from ray.cluster_utils import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Kill = Callable[[subprocess.Popen[str]], bool]
    """Kills somebody, and says whether anybody was there."""

HUMANDETECT = [sys.executable, "-m", "humandetect"]
LIKE = ["--size", "small", "--precision", "f32"]
SEGMENT_SECONDS = "3"
MADE = re.compile(r"in ([\d,]+) parts?$", re.MULTILINE)


@dataclass
class Tally:
    """What came of all kills of a kind."""

    kills: int = 0
    again: int = 0
    most_again: int = 0
    made_twice: int = 0
    wrong_rows: int = 0
    left_over: int = 0
    missed: int = 0
    """Kills that came when all was done; they are tried again."""


class Rounds:
    """Makes the same archive again and again, and kills somebody meanwhile."""

    def __init__(self, folder: Path, clip: Path, dice: random.Random, *, cluster: str | None = None) -> None:
        self._folder, self._dice = folder, dice
        self._out = folder / "out"
        self._archive = [*HUMANDETECT, "archive", str(clip), *LIKE, "--segment", SEGMENT_SECONDS, "--out"]
        self._where = ["--cluster", cluster] if cluster else ["--jobs", "2"]
        self._plain = folder / "plain.jsonl"
        if not self._plain.exists():
            detect = ["detect", str(clip), *LIKE, "--results", str(self._plain), "--results-score", "0.1", "--quiet"]
            subprocess.run([*HUMANDETECT, *detect], check=True)
        shutil.rmtree(self._out, ignore_errors=True)
        began = time.monotonic()
        self._finish()
        self._seconds = time.monotonic() - began
        self._parts = len(self._made())

    def many(self, kills: int, kill: Kill) -> Tally:
        tally = Tally()
        while tally.kills < kills:
            self._one(kill, tally)
            say(str(tally))
        return tally

    def _one(self, kill: Kill, tally: Tally) -> None:
        shutil.rmtree(self._out)
        with subprocess.Popen([*self._archive, str(self._out), *self._where], stderr=subprocess.PIPE, text=True) as run:
            time.sleep(self._dice.uniform(0, self._seconds))
            if not kill(run):
                said = run.communicate()[1]
                if run.returncode:
                    raise SystemExit(f"nobody was killed, and yet it failed: {said}")
                tally.missed += 1
                return
            said = run.communicate()[1]
        tally.kills += 1
        before = self._made()
        if run.returncode == 0:
            made = self._parts
        else:
            said += self._finish()
            counted = MADE.search(said)
            made = len(before) + (int(counted[1]) if counted else 0)
        after = self._made()
        again = said.count("begun again:")
        tally.again += again
        tally.most_again = max(tally.most_again, again)
        tally.made_twice += made - self._parts + sum(after[name] != when for name, when in before.items())
        merged = self._folder / "merged.jsonl"
        subprocess.run([*self._archive, str(self._out), "--merge", str(merged), "--quiet"], check=True)
        tally.wrong_rows += merged.read_bytes() != self._plain.read_bytes()
        tally.left_over += len(list(self._out.rglob(".*")))

    def _finish(self) -> str:
        """Run the command to its end; return what it says."""
        command = [*self._archive, str(self._out), *self._where]
        return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True).stderr

    def _made(self) -> dict[str, int]:
        """Return when each part was made."""
        return {path.name: path.stat().st_mtime_ns for path in self._out.glob("*/*.parquet")}


def kill_command(run: subprocess.Popen[str]) -> bool:
    """Kill it, and wait for what ends with it."""
    if run.poll() is not None:
        return False
    mine = psutil.Process(run.pid).children()
    run.kill()
    run.wait()
    psutil.wait_procs([*mine, *tasks()])
    return True


def kill_local_worker(run: subprocess.Popen[str]) -> bool:
    return kill_first(lambda: psutil.Process(run.pid).children(), run)


def kill_task(run: subprocess.Popen[str]) -> bool:
    return kill_first(tasks, run)


def kill_first(find: Callable[[], list[psutil.Process]], run: subprocess.Popen[str]) -> bool:
    """Kill one as soon as there is one; False if the command ends before."""
    while run.poll() is None:
        if found := find():
            found[0].kill()
            return True
        time.sleep(0.01)
    return False


def tasks() -> list[psutil.Process]:
    """Return the processes of Ray that work on a segment, which is in their names."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "make_part" in " ".join(process.cmdline()):
                found.append(process)
    return found


def lose_machine(cluster: Cluster, run: subprocess.Popen[str]) -> bool:
    if run.poll() is not None:
        return False
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3")
    return True


@contextmanager
def two_machines() -> Iterator[Cluster]:
    machine: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "node_ip_address": "127.0.0.2"})
    cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3")
    try:
        yield cluster
    finally:
        cluster.shutdown()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=20, help="of each kind")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", metavar="TEXT", help="kinds with this in their name, as in the table")
    args = options.parse_args()
    print_machine()
    dice = random.Random(args.seed)  # noqa: S311 - the same moments each time
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as name, two_machines() as cluster:
        folder = Path(name)
        clip = args.clip or clip_720p(folder, seconds=24, key_each=10)
        kinds: dict[str, tuple[str | None, Kill]] = {
            "a worker of this machine": (None, kill_local_worker),
            "the command, workers of this machine": (None, kill_command),
            "a worker of the cluster": (cluster.address, kill_task),
            "a machine of the cluster": (cluster.address, partial(lose_machine, cluster)),
            "the command, on the cluster": (cluster.address, kill_command),
        }
        for kind, (where, kill) in kinds.items():
            if args.only in kind:
                tallies[kind] = Rounds(folder, clip, dice, cluster=where).many(args.kills, kill)
    head = ["killed", "times", "begun again", "by one kill", "parts made twice", "wrong rows", "files left over"]
    rows = [
        [what, *map(str, (one.kills, one.again, one.most_again, one.made_twice, one.wrong_rows, one.left_over))]
        for what, one in tallies.items()
    ]
    print_table("What kills at random times cost, in segments", head, rows)


if __name__ == "__main__":
    main()
