"""A browser without a screen.

It asks a dashboard for ticks and keeps what it was told.
"""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Any, Final

from dashboard_app import ids
from dashboard_app.bands import BANDS
from dashboard_app.held import SHOWN, TURN_DEVICES

_TIMEOUT_S: Final = 10.0
#: The fields that an answer leaves out when they say nothing.
_NO_ROWS: Final[dict[str, Any]] = {"steps": [], "age_ms": [], "celsius": [], "count": []}
_NOTHING: Final[dict[str, Any]] = {
    "reset": False, "skipped": 0, "roster": None, "readings": [], "alerts": _NO_ROWS, "counts": _NO_ROWS,
    "overview": None, "new": 0
}  # fmt: skip


class Ticker:
    """Asks over a new connection each time, so that any worker may answer."""

    def __init__(self, url: str) -> None:
        """Ask nothing yet; `url` ends in a slash."""
        self.url = url
        self.cursor: Any = None
        self.resets = 0
        self.readings: list[tuple[str, int, float]] = []
        self.devices: dict[str, list[Any]] = {}
        self.last: dict[str, Any] = {}
        #: How long the last answer was, not compressed.
        self.last_bytes = 0
        self.roster: tuple[str, list[str]] = ("", [])
        #: The overview's rows by second.
        self.seconds: dict[int, tuple[float, ...]] = {}

    def tick(self, detail: Sequence[str] | None = None, history: Sequence[str] = ()) -> dict[str, Any]:
        """Ask for what is new and keep it as the page does; raises `HTTPError` when refused."""
        asked = {"cursor": self.cursor, "detail": detail, "history": list(history)}
        asked |= {"roster": self.roster[0], "overview": max(self.seconds, default=0)}
        answer = whole(json.loads(self._post(tick_body(asked))["response"][ids.DELTA]["data"]))
        self.cursor = answer["cursor"]
        if answer["reset"]:
            self.resets += 1
            self.readings, self.devices, self.seconds = [], {}, {}
        if answer["roster"]:
            key, names = answer["roster"]
            self.roster = (key, names)
        self.readings.extend((device, time_ms, celsius) for device, time_ms, celsius in answer["readings"])
        self.seconds |= seconds_of(answer["overview"])
        self._take_newest(answer, detail)
        self.last = answer
        return self.last

    def alerted(self, answer: dict[str, Any]) -> set[str]:
        """Return the devices of which an answer tells an alert."""
        return {device for device, _, _ in rows(answer["alerts"], answer["now"], self.roster[1])}

    def _take_newest(self, answer: dict[str, Any], detail: Sequence[str] | None) -> None:
        """Keep the newest of each device; it is one more reading of what is in detail."""
        previous = dict(answer["devices"]["previous"])
        for place, (device, time_ms, celsius) in enumerate(rows(answer["devices"], answer["now"], self.roster[1])):
            held = self.devices.get(device)
            before = held[1] if held and held[0] < time_ms else held[2] if held else None
            self.devices[device] = [time_ms, celsius, previous.get(place, before)]
            if detail is None or device in detail:
                self.readings.append((device, time_ms, celsius))

    def _post(self, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310  # our own dashboard
            f"{self.url}_dash-update-component", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # the same
            text = answer.read()
        self.last_bytes = len(text)
        return json.loads(text)


def by_device(readings: Iterable[tuple[str, int, float]]) -> dict[str, list[tuple[int, float]]]:
    """Return the readings of each device, in the order in which they came."""
    found: dict[str, list[tuple[int, float]]] = {}
    for device, time_ms, celsius in readings:
        found.setdefault(device, []).append((time_ms, celsius))
    return found


def whole(told: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with all its fields, as the page reads it: the topics' ages by name."""
    pipeline = told["pipeline"]
    ages_ms = dict(zip((topic.name for topic in SHOWN), pipeline["topics"], strict=True))
    past = _past(told["history"], told["now"]) if "history" in told else []
    return {
        **_NOTHING,
        **{name: value for name, value in told.items() if name != "history"},
        "readings": [*past, *told.get("readings", ())],
        "devices": {"previous": [], **_in_degrees(told["devices"])},
        "alerts": _in_degrees(told.get("alerts", _NO_ROWS)),
        "averages": _in_degrees(told["averages"]),
        "pipeline": {"kafka": {"ok": True}, "behind": 0, "dead_letters": 0, **pipeline, "topics": ages_ms},
    }


def _past(told: dict[str, Any], now_ms: int) -> list[list[Any]]:
    """Return readings that are told as what each differs in from the one before, as rows."""
    pairs = zip(told["id"], told["readings"], strict=True)
    names = itertools.chain.from_iterable(itertools.repeat(name, number) for name, number in pairs)
    times_ms = list(itertools.accumulate(told["ms"], initial=now_ms))[1:]
    sums = itertools.accumulate(told.get("hundredths", ()))
    values = told["celsius"] if "celsius" in told else [value / 100 for value in sums]
    return [list(row) for row in zip(names, times_ms, values, strict=True)]


def _in_degrees(columns: dict[str, Any]) -> dict[str, Any]:
    if "hundredths" not in columns:
        return columns
    return {**columns, "celsius": [(columns["lowest"] + value) / 100 for value in columns["hundredths"]]}


def rows(columns: dict[str, Any], now_ms: int, roster: Sequence[str] = ()) -> list[tuple[str, int, float]]:
    """Return an answer's columns as (device, time in ms, value)."""
    places = itertools.accumulate(columns["steps"]) if "steps" in columns else range(len(roster))
    names = columns["id"] if "id" in columns else [roster[place] for place in places]
    times_ms = [now_ms - age_ms for age_ms in columns["age_ms"]]
    return list(zip(names, times_ms, columns["count"] if "count" in columns else columns["celsius"], strict=True))


def seconds_of(overview: dict[str, Any] | None) -> dict[int, tuple[float, ...]]:
    """Return the rows of an answer's overview by the second's start."""
    if overview is None:
        return {}
    return dict(zip(overview["t"], zip(*(overview[name] for name in BANDS), strict=True), strict=True))


class Follower:
    """What a browser asks next that keeps nothing but what the next request needs."""

    def __init__(self, detail: Sequence[str] | None) -> None:
        """Ask for everything first."""
        self.asked: dict[str, Any] = {"cursor": None, "detail": detail, "history": [], "roster": "", "overview": 0}
        self._devices = 0

    def take(self, told: dict[str, Any]) -> None:
        """Put what an answer says of the next request into it."""
        self.asked["cursor"] = told["cursor"]
        if seconds := told.get("overview", {}).get("t"):
            self.asked["overview"] = seconds[-1]
        if "roster" in told:
            self.asked["roster"], self._devices = told["roster"][0], len(told["roster"][1])
        if self._devices > TURN_DEVICES:
            following = self.asked.get("turn", -TURN_DEVICES) + TURN_DEVICES
            self.asked["turn"] = following if following < self._devices else 0


def tick_body(asked: object) -> dict[str, Any]:
    """Return the body that Dash's renderer sends for a tick."""
    return {
        "output": f"{ids.DELTA}.data",
        "outputs": {"id": ids.DELTA, "property": "data"},
        "inputs": [{"id": ids.TICK, "property": "n_intervals", "value": 1}],
        "changedPropIds": [f"{ids.TICK}.n_intervals"],
        "parsedChangedPropsIds": [ids.TICK],
        "state": [{"id": ids.CURSOR, "property": "data", "value": asked}],
    }


def get(url: str) -> tuple[int, str]:
    """Return status and text; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # our own dashboard
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
