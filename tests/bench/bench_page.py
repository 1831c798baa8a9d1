"""What a visitor costs the server, beside three other ways to make a page.

`python -m tests.bench.bench_page [--devices 5 100 1000] [--seconds 10] [--only ours "naive Dash"] [--hold 300]`

Each page is a process of its own, deployed as it would be (gunicorn with one gthread worker for Dash), fed with the
same seeded readings by a thread; visitors ask or listen at 1 Hz. CPU is the server's alone, without what it takes with
no visitor, for each time that a visitor is told what is new. `--hold N` lets N visitors of our page be there and tells
how long they wait.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.page_servers import idle_cpu_s, serving
from tests.bench.page_sessions import BROWSERS, visit

#: Visitors at once: so many that their cost stands out, so few that the server keeps up.
_VISITORS: Final = {
    "ours": {5: 100, 100: 60, 1000: 40},
    "naive Dash": {5: 15, 100: 6, 1000: 1},
    "Bokeh": {5: 40, 100: 30, 1000: 10},
    "Streamlit": {5: 6, 100: 2, 1000: 1},
}
_IDLE_S: Final = 5.0


class Cost(NamedTuple):
    """A tick of a visitor: the server's CPU, bytes over the wire, within what time 19 of 20 have their answer."""

    cpu_ms: float
    size: float
    p95_ms: float | None


def main() -> None:
    """Run the pages in turn and print the table."""
    parser = argparse.ArgumentParser(description="Server CPU and bytes per visitor and second.")
    parser.add_argument("--devices", type=int, nargs="+", default=[5, 100, 1000])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", nargs="+", choices=list(BROWSERS), default=list(BROWSERS))
    parser.add_argument("--hold", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    ours_ms = 0.0
    table = Table("devices", "page", "visitors", "CPU ms", "times ours", "bytes", "p95 ms", title="A visitor's tick")
    for devices in arguments.devices:
        for kind, visitors in _chosen(arguments.only, devices) + [("ours", number) for number in arguments.hold]:
            cost = measure(kind, devices, visitors, arguments.seconds)
            ours_ms = cost.cpu_ms if kind == "ours" else ours_ms
            cells = (f"{cost.cpu_ms:.2f}", f"{cost.cpu_ms / ours_ms:.1f}", f"{cost.size:,.0f}")
            table.add_row(str(devices), kind, str(visitors), *cells, f"{cost.p95_ms:.0f}" if cost.p95_ms else "")
    Console(width=100).print(table)


def _chosen(kinds: list[str], devices: int) -> list[tuple[str, int]]:
    order = ["ours", *(kind for kind in kinds if kind != "ours")]
    return [(kind, _VISITORS[kind].get(devices, 1)) for kind in order]


def measure(kind: str, devices: int, visitors: int, seconds: float) -> Cost:
    """Return what a visitor costs."""
    with tempfile.TemporaryDirectory() as folder, serving(kind, devices, Path(folder)) as server:
        idle_s = idle_cpu_s(server, _IDLE_S) / _IDLE_S * seconds
        seen = visit(kind, server, devices, visitors, seconds)
        p95_ms = statistics.quantiles(seen.durations_s, n=20)[-1] * 1_000 if seen.durations_s else None
        return Cost((seen.cpu_s - idle_s) * 1_000 / seen.ticks, seen.size / seen.ticks, p95_ms)


if __name__ == "__main__":
    main()
