"""What a worker and the page hold after hours, by a faster clock.

`python -m tests.bench.bench_leak [--hours 8] [--devices 100] [--browser [--speed 16]]`

The worker's store is given a second after the other and is asked for ticks between; the page's model, in node, is
given ticks. Both are at their bound after 15 minutes, the length of the history; memory is told for each hour.

With `--browser` the whole page in Chromium instead, and the worker behind it, both by a clock that runs so many times
faster: timers too, so the page ticks, draws and tidies up as often as in those hours. 8 hours take half an hour.
"""

import argparse
import gc
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import CDPSession
from rich.console import Console

from tests.bench.bench_tick import Delta
from tests.bench.page_servers import serving
from tests.bench.pages import fleet
from tests.support.browser import chromium
from tests.support.parts import REPOSITORY

_START_MS: Final = 1_769_860_800_000
_HOUR_S: Final = 3_600
_ASKED_EVERY_S: Final = 10
#: Has all clocks and timers of a page run faster.
_FASTER: Final = """
  const speed = %g, began = Date.now(), { setTimeout, setInterval } = globalThis;
  const now = Date.now.bind(Date), since = performance.now.bind(performance);
  Date.now = () => began + (now() - began) * speed;
  performance.now = () => since() * speed;
  globalThis.setTimeout = (call, ms, ...rest) => setTimeout(call, ms / speed, ...rest);
  globalThis.setInterval = (call, ms, ...rest) => setInterval(call, ms / speed, ...rest);
  let ticks = 0;
  const { fetch } = globalThis;
  globalThis.fetch = (...all) => { ticks += 1; return fetch(...all); };
  globalThis.asked = () => ticks;
"""


def main() -> None:
    """Run both and print what they hold."""
    parser = argparse.ArgumentParser(description="Memory over hours.")
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--browser", action="store_true", help="the whole page in Chromium, for hours / speed")
    parser.add_argument("--speed", type=float, default=16)
    arguments = parser.parse_args()
    if arguments.browser:
        _browser(arguments.hours, arguments.devices, arguments.speed, Console())
        return
    _worker(arguments.hours, arguments.devices, Console())
    if node := shutil.which("node"):
        sys.stdout.flush()
        script = [node, "--expose-gc", "tests/bench/leak.js", str(arguments.hours), str(arguments.devices)]
        subprocess.run(script, cwd=REPOSITORY, check=True)


def _worker(hours: int, devices: int, console: Console) -> None:
    page, source = Delta(fleet.names(devices)), fleet.seconds(devices, _START_MS)
    for hour in range(hours):
        for second in range(_HOUR_S):
            page.take(next(source))
            if second % _ASKED_EVERY_S == 0:
                page.ask()
        gc.collect()
        console.print(f"worker after {hour + 1} h: {_memory_mb():.1f} MB")


def _browser(hours: int, devices: int, speed: float, console: Console) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        serving("ours", devices, Path(folder), BENCH_SPEED=f"{speed:g}") as server,
        chromium() as browser,
    ):
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.add_init_script(_FASTER % speed)
        page.goto(server.url)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        for quarter in range(hours * 4):
            page.wait_for_timeout(_HOUR_S / 4 / speed * 1_000)
            console.print(
                f"after {(quarter + 1) / 4:.2f} h: {_page_holds(session)}, {page.evaluate('asked()'):,} requests; "
                f"worker {server.memory_mb():.1f} MB; {page.locator('.card .temperature').first.inner_text()}"
            )


def _page_holds(session: CDPSession) -> str:
    """Return what a page holds once its garbage is collected."""
    session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: float(one["value"]) for one in session.send("Performance.getMetrics")["metrics"]}
    return (
        f"heap {metrics['JSHeapUsedSize'] / 1e6:.1f} MB, {metrics['Nodes']:.0f} nodes, "
        f"{metrics['JSEventListeners']:.0f} listeners"
    )


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1_000


if __name__ == "__main__":
    main()
