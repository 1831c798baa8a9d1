"""Where a tick's time goes with a large fleet.

Computing, waiting for a core, for the store's lock, for the GIL.

`python -m tests.bench.bench_fleet [--devices 10000] [--visitors 10] [--seconds 20] [--turns 2] [--jobs]
[--at . ../before] [--kafka HOST:PORT]`

gunicorn with one worker, a real Kafka, the simulator in real time; visitors tick as browsers do. `--at` names
checkouts whose page takes turns with the others'. CPU times are the kernel's by thread, so they hold on a busy machine;
what is left of the time by the clock is told apart by what the thread waited for.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka
from tests.bench.page_servers import Server
from tests.bench.page_sessions import visit
from tests.support import parts
from tests.support.parts import REPOSITORY, Part, environment_of, part
from tests.support.real_kafka import RealKafka, free_ports
from tests.support.ticks import get
from tests.support.waiting import wait_until

_READY_WITHIN_S: Final = 90.0
_SETTLED_S: Final = 12.0  # the overview's seconds are settled, the roster is made
_PARTS: Final = ("decode", "append", "drop", "overview")

#: Milliseconds by what they were spent on, a list of all ticks.
Notes = dict[str, list[float]]


def main() -> None:
    """Run the checkouts in turn and print the tables."""
    parser = argparse.ArgumentParser(description="Where a tick's time goes with a large fleet.")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--visitors", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--jobs", action="store_true", help="run the jobs as well")
    parser.add_argument("--at", type=Path, nargs="+", default=[REPOSITORY])
    parser.add_argument("--kafka", help="address of a real Kafka; without, one is started")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        folder = Path(home)
        address = arguments.kafka or stack.enter_context(RealKafka(folder / "kafka")).address
        settings = Settings(
            kafka_bootstrap_servers=address,
            topic_prefix=f"bench{uuid.uuid4().hex[:8]}-",
            instance_id="bench",
            state_dir=folder / "state",
        )
        kafka.ensure_topics(settings, "bench")
        if arguments.jobs:
            stack.enter_context(part(settings, folder / "jobs.log", "processors", "all"))
        simulator = ("simulator", "--devices", str(arguments.devices))
        stack.enter_context(part(settings, folder / "simulator.log", *simulator))
        for turn in range(arguments.turns):
            for place, checkout in enumerate(arguments.at):
                own = folder / f"{turn}-{place}"
                own.mkdir()
                _report(checkout, *_measure(settings, checkout.resolve(), own, arguments))


def _measure(
    settings: Settings, checkout: Path, folder: Path, arguments: argparse.Namespace
) -> tuple[Notes, dict[str, float]]:
    """Return of the ticks what they took, and of the worker what it took in CPU."""
    port, notes = free_ports()[0], folder / "notes"
    own = settings.model_copy(update={"dashboard_port": port})
    more = {"PYTHONPATH": f"{checkout}{os.pathsep}{REPOSITORY}", "PYTHONSAFEPATH": "1", "BENCH_NOTES": str(notes)}
    command = ("-m", "gunicorn", "--chdir", str(checkout), "-c", str(checkout / "dashboard_app/gunicorn_conf.py"))
    log = folder / "page.log"
    with Part([sys.executable, *command, "tests.bench.pages.probed:build()"], environment_of(own, **more), log) as page:
        wait_until(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200, _READY_WITHIN_S, "the page", log)
        time.sleep(_SETTLED_S)
        (folder / "ticks").touch()  # nobody counts there: the visitors see each tick themselves
        assert page.process is not None
        (pid,) = parts.child_pids(page.process.pid)
        server = Server(port, pid, folder / "ticks")
        before_s, threads, begun_s = server.cpu_s(), _threads(pid), time.monotonic()
        seen = visit("ours", server, arguments.devices, arguments.visitors, arguments.seconds)
        took_s = time.monotonic() - begun_s
        worker = {"all": (server.cpu_s() - before_s) / took_s * 1e3, "MB": server.memory_mb()}
        worker |= {name: value / took_s * 1e3 for name, value in _used(threads, _threads(pid), pid).items()}
        wait_until(lambda: notes.stat().st_size > 0, 5, "notes", log)
        time.sleep(1.1)  # until the last are written
        lines = [json.loads(line) for line in notes.read_text().splitlines()]
    worker |= _spent(lines, arguments.seconds)
    return _ticks(lines, seen.durations_s), worker


def _threads(pid: int) -> dict[int, tuple[float, float]]:
    """Return by thread CPU and the time that it waited for a core, in s."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        ran_ns, waited_ns, _ = map(int, (task / "schedstat").read_text().split())
        found[int(task.name)] = ran_ns / 1e9, waited_ns / 1e9
    return found


def _used(before: dict[int, tuple[float, float]], after: dict[int, tuple[float, float]], pid: int) -> dict[str, float]:
    used = {
        thread: (cpu_s - before[thread][0], waited_s - before[thread][1])
        for thread, (cpu_s, waited_s) in after.items()
        if thread in before
    }
    loop, feed = used.pop(pid), max(used.values())
    return {"loop": loop[0], "loop waits": loop[1], "feed": feed[0], "feed waits": feed[1]}


def _spent(lines: list[dict[str, Any]], seconds: float) -> dict[str, float]:
    """Return per second what the consumer thread spent on its parts, and the longest of each, in ms."""
    window = lines[-min(len(lines), round(seconds)) :]
    first, last = window[0]["feed"], window[-1]["feed"]
    each_s = {name: (last[name] - first[name]) / max(1, len(window) - 1) for name in first}  # a line a second
    spent = {name: each_s[name] * 1e3 for name in _PARTS}
    calls = {name: each_s[name] for name in (*(f"{part}, calls" for part in _PARTS), "records")}
    longest = {f"{name}, longest": last[f"{name}, longest"] * 1e3 for name in (*_PARTS, "lock")}
    return spent | calls | longest


def _ticks(lines: list[dict[str, Any]], durations_s: list[float]) -> Notes:
    ticks = [tick for line in lines for tick in line["ticks"] if not math.isnan(tick["sent"])]
    ticks = ticks[-len(durations_s) :]
    found = {name: [tick[name] * 1e3 for tick in ticks] for name in ("inside", "cpu", "core", "lock", "rest")}
    found["until the loop has it"] = [(tick["arrived"] - tick["sent"]) * 1e3 for tick in ticks]
    found["of that, no core"] = [tick["core_before"] * 1e3 for tick in ticks]
    found["by the visitor's clock"] = [duration_s * 1e3 for duration_s in durations_s]
    return found


def _report(checkout: Path, ticks: Notes, worker: dict[str, float]) -> None:
    load = os.getloadavg()[0]
    table = Table(
        "ms", "p50", "p95", "mean", "longest", title=f"{checkout}: {len(ticks['cpu'])} ticks, load {load:.0f}"
    )
    for name, values in ticks.items():
        p95 = statistics.quantiles(values, n=20)[-1]
        numbers = (statistics.median(values), p95, statistics.mean(values), max(values))
        table.add_row(name, *(f"{number:.2f}" for number in numbers))
    Console(width=110).print(table)
    Console(width=110).print("worker, ms/s: " + ", ".join(f"{name} {value:.1f}" for name, value in worker.items()))


if __name__ == "__main__":
    main()
