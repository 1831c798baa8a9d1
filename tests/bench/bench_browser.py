"""What our page costs a browser, and how soon a reading is seen.

`python -m tests.bench.bench_browser [load | busy | fleet | pixel ...]`

- load: bytes over the wire and the time to the first temperature on screen, at the first and at the second visit;
- busy: CPU time of the page's renderer and how long its main thread works per second, in turn with a Bokeh page of
  lines and a table and one that shows what ours does, at 100 and 1000 devices;
- fleet: 10,000 devices at 1 Hz with all jobs, on a real Kafka: what the worker takes to read them, its memory, a tick's
  p95 with 40 visitors, and the tasks of over 50 ms in a browser;
- pixel: from a device's send to its temperature on screen, at a tick of 1 s and of 250 ms, beside 99 others.

Chromium is one for all, headless and without a GPU; the pages are those of bench_page.py, for `fleet` and `pixel` a
whole bus.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable  # noqa: TC003  # measures is typed by it at run time, as elsewhere here
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer
from playwright.sync_api import Browser, Page
from rich.console import Console

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.bench.page_servers import Server, idle_cpu_s, serving
from tests.bench.page_sessions import visit
from tests.support.browser import chromium
from tests.support.dashboards import dashboard
from tests.support.parts import part
from tests.support.real_kafka import RealKafka
from tests.support.waiting import wait_until

_SETTLED_S: Final = 6.0
_COUNTED_S: Final = 15.0
_TURNS: Final = 3
_SHOWN_WITHIN_S: Final = 60.0
_PIXELS: Final = 40
_FLEET: Final = 10_000
_FLEET_VISITORS: Final = 40
_FIRST_SEEN: Final = """
  window.firstMs = null;
  new MutationObserver((_, observer) => {
    if (!/\\d/.test(document.querySelector(".card .temperature")?.textContent ?? "")) return;
    observer.disconnect();
    requestAnimationFrame(() => { window.firstMs = performance.now(); });
  }).observe(document, { subtree: true, childList: true, characterData: true });
"""
_LONG_TASKS: Final = """
  window.longMs = [];
  new PerformanceObserver((list) => window.longMs.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
"""
#: Notes when each text was first painted in the card of the device that is sent by hand.
_SEEN: Final = """
  window.seenMs = {};
  new MutationObserver(() => {
    const text = document.querySelector("[aria-label=by-hand] .temperature")?.textContent;
    if (!text || text in window.seenMs) return;
    window.seenMs[text] = null;
    requestAnimationFrame(() => { window.seenMs[text] = performance.timeOrigin + performance.now(); });
  }).observe(document, { subtree: true, childList: true, characterData: true });
"""


def main() -> None:
    """Run what is asked for and print it."""
    measures: dict[str, Callable[[Browser, Path, Console], None]] = {
        "load": _load,
        "busy": _busy,
        "fleet": _fleet,
        "pixel": _pixel,
    }
    parser = argparse.ArgumentParser(description="What our page costs a browser, and how soon a reading is seen.")
    parser.add_argument("measures", nargs="*", choices=[*measures, []], default=list(measures))
    for name in parser.parse_args().measures:
        with tempfile.TemporaryDirectory() as folder, chromium() as browser:
            measures[name](browser, Path(folder), Console())


def _load(browser: Browser, folder: Path, console: Console) -> None:
    with serving("ours", 100, folder) as server:
        for name in ("first", "first, again"):  # the worker compresses each file once
            context = browser.new_context()
            for visit in (name, "second"):
                page = context.new_page()
                page.add_init_script(_FIRST_SEEN)
                sizes = _wire_bytes(page)
                page.goto(server.url)
                _wait(page, "window.firstMs !== null")
                shown_ms = page.evaluate("window.firstMs")
                page.locator("svg.main-svg").first.wait_for()
                page.wait_for_timeout(1_000)
                console.print(
                    f"{visit} visit: {sizes['files']:,} bytes of files, {sizes['data']:,} of data; "
                    f"first temperature after {shown_ms:.0f} ms"
                )
                page.close()
            context.close()


def _wire_bytes(page: Page) -> dict[str, int]:
    """Return bytes over the wire that grow as they come: of the page's files and of its data, the ticks."""
    session = page.context.new_cdp_session(page)
    kinds: dict[str, str] = {}
    sizes = {"files": 0, "data": 0}

    def sent(event: Any) -> None:
        kinds[event["requestId"]] = "data" if event["request"]["method"] == "POST" else "files"

    def finished(event: Any) -> None:
        sizes[kinds[event["requestId"]]] += int(event["encodedDataLength"])

    session.send("Network.enable")
    session.on("Network.requestWillBeSent", sent)
    session.on("Network.loadingFinished", finished)
    return sizes


def _busy(browser: Browser, folder: Path, console: Console) -> None:
    for devices in (100, 1000):
        with ExitStack() as stack:
            pages = {
                kind: (stack.enter_context(serving(kind, devices, folder)), drawn)
                for kind, drawn in (("ours", "svg.main-svg"), ("Bokeh", "canvas"), ("Bokeh, all of it", "canvas"))
            }
            taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in pages}
            for _ in range(_TURNS):
                for kind, (server, drawn) in pages.items():
                    page = _opened(browser, server, drawn)
                    taken[kind].append(_renderer_ms(browser, page))
                    page.context.close()
            medians = {kind: [statistics.median(column) for column in zip(*taken[kind], strict=True)] for kind in taken}
            for kind, (cpu_ms, busy_ms) in medians.items():
                console.print(f"{devices} devices, {kind}: CPU {cpu_ms:.0f} ms/s, main thread busy {busy_ms:.0f} ms/s")
                console.print(f"  ours is {medians['ours'][0] / cpu_ms:.2f} times that")


def _renderer_ms(browser: Browser, page: Page) -> tuple[float, float]:
    """Return per second: CPU time of the renderers with all their threads, busy time of the page's main thread."""
    session = browser.new_browser_cdp_session()
    before_s = _renderers_s(session)
    busy_ms = _busy_ms(page)
    return (_renderers_s(session) - before_s) * 1000 / _COUNTED_S, busy_ms


def _renderers_s(session: Any) -> float:
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(float(one["cpuTime"]) for one in processes if one["type"] == "renderer")


def _opened(browser: Browser, server: Server, drawn: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(server.url)
    page.locator(drawn).first.wait_for(timeout=_SHOWN_WITHIN_S * 1000)
    page.wait_for_timeout(_SETTLED_S * 1000)
    return page


def _busy_ms(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before_s = _metric(session, "TaskDuration")
    page.wait_for_timeout(_COUNTED_S * 1000)
    return (_metric(session, "TaskDuration") - before_s) * 1000 / _COUNTED_S


def _metric(session: Any, name: str) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == name)


def _fleet(browser: Browser, folder: Path, console: Console) -> None:
    with RealKafka(folder / "kafka") as broker, ExitStack() as stack:
        settings = Settings(kafka_bootstrap_servers=broker.address, instance_id="bench", state_dir=folder / "state")
        kafka.ensure_topics(settings, "bench")
        page_of = dashboard(settings, folder)
        stack.enter_context(part(settings, folder / "jobs.log", "processors", "all"))
        stack.enter_context(part(settings, folder / "simulator.log", "simulator", "--devices", str(_FLEET)))
        stack.enter_context(page_of.part)
        page_of.wait_ready(_SHOWN_WITHIN_S)
        time.sleep(_SETTLED_S)
        (folder / "ticks").touch()  # nobody counts there: the visitors see each tick themselves
        server = Server(page_of.settings.dashboard_port, page_of.worker_pids()[0], folder / "ticks")
        reading = idle_cpu_s(server, _COUNTED_S) / _COUNTED_S
        with ThreadPoolExecutor(1) as beside:  # Playwright has an event loop in this thread
            seen = beside.submit(visit, "ours", server, _FLEET, _FLEET_VISITORS, _COUNTED_S).result()
        p95_ms = statistics.quantiles(seen.durations_s, n=20)[-1] * 1_000
        page = _opened(browser, server, "svg.main-svg")
        page.evaluate(_LONG_TASKS)
        busy_ms = _busy_ms(page)
        long_ms = sorted(page.evaluate("window.longMs"))
        console.print(
            f"{_FLEET:,} devices: reading takes {reading:.0%} of a core; tick p95 {p95_ms:.0f} ms, "
            f"{seen.size / len(seen.durations_s):,.0f} bytes, {_FLEET_VISITORS} visitors; "
            f"worker {server.memory_mb():.0f} MB; main thread busy {busy_ms:.0f} ms/s, {len(long_ms)} tasks over 50 ms "
            f"in {_COUNTED_S:.0f} s, the longest {long_ms[-1] if long_ms else 0:.0f} ms, "
            f"{sum(one > 200 for one in long_ms)} over 200 ms; {page.locator('#fleet').inner_text()!r}"
        )


def _pixel(browser: Browser, folder: Path, console: Console) -> None:
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True, state_dir=folder / "state")
        kafka.ensure_topics(settings, "bench")
        with part(settings, folder / "simulator.log", "simulator", "--devices", "99"):
            for tick_ms in (1_000, 250):
                page_of = dashboard(settings, folder, dashboard_tick_ms=tick_ms)
                with page_of.part:
                    page_of.wait_ready()
                    delays_ms = sorted(_delays_ms(browser, page_of.url, settings))
                p95_ms = statistics.quantiles(delays_ms, n=20)[-1]
                console.print(
                    f"tick of {tick_ms} ms: reading to pixel {statistics.median(delays_ms):.0f} ms, "
                    f"p95 {p95_ms:.0f} ms, of {len(delays_ms)}"
                )


def _delays_ms(browser: Browser, url: str, settings: Settings) -> list[float]:
    """Send readings at odd moments and return how long each took to be seen."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{url}?devices=by-hand")
    producer, generator, sent_ms = kafka.producer(settings, "bench"), random.Random(7), dict[str, float]()  # noqa: S311  # moments, not secrets
    _send(producer, settings, 10.0)  # the first one waits half a second for connections, which a device has
    page.wait_for_timeout(_SETTLED_S * 1000)
    page.evaluate(_SEEN)
    for number in range(_PIXELS):
        celsius = 20 + number / 10
        sent_ms[f"{celsius:.1f} °C"] = _send(producer, settings, celsius)
        page.wait_for_timeout(1_100 + generator.random() * 1_000)
    page.wait_for_timeout(2_000)
    seen_ms = page.evaluate("window.seenMs")
    context.close()
    return [seen_ms[text] - began_ms for text, began_ms in sent_ms.items() if seen_ms.get(text)]


def _send(producer: Producer, settings: Settings, celsius: float) -> float:
    """Send a reading of now, wait until the broker has it, and return its time in ms."""
    now_ms = time.time() * 1000
    reading = messages.encode_reading("by-hand", messages.iso_timestamp(int(now_ms)), celsius)
    producer.produce(settings.topic_name(SENSOR), reading, messages.encode_key("by-hand"))
    producer.flush()
    return now_ms


def _wait(page: Page, expression: str) -> None:
    """Wait without `unsafe-eval`, which the page's policy forbids."""
    wait_until(lambda: page.evaluate(expression), _SHOWN_WITHIN_S, expression)


if __name__ == "__main__":
    main()
