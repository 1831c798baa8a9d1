"""The JSON API: GET routes that answer from what the worker holds.

They are made from api_table.py (docs/api.md).
"""

import math
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from flask import Flask, Response, request

from dashboard_app import api_csv, api_devices, api_openapi, api_problems, api_table
from dashboard_app.api_cursor import Cursor, Place, RowPlace, text_of
from dashboard_app.api_problems import ProblemError, catching_up, refused, stale_cursor
from dashboard_app.api_query import Query, query_in
from dashboard_app.api_rows import Rows, Search, Wanted
from dashboard_app.api_table import BASE, JSON, Route
from dashboard_app.api_time import time_text
from dashboard_app.choice import devices_in
from dashboard_app.feed import Feed
from dashboard_app.held import Held
from dashboard_app.ring import Integers
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR
from sensorbus.contract.units import fahrenheit_from_celsius, kelvin_from_celsius
from sensorbus.runtime.clock import ClockMs
from sensorbus.runtime.metrics import API_REQUESTS, API_ROWS, API_SECONDS

#: What /readyz names while a worker does not hold the history yet (feed.py).
_NOT_YET: Final = ("topics", "assignment", "history")
_OTHER_TOPICS: Final = "this cursor is of topics that are gone"

_Answer = Callable[[Route, Query], Response]


def register(server: Flask, settings: Settings, feed: Feed, now_ms: ClockMs) -> None:
    """Add the routes of the table to the server."""
    api = Api(settings, feed, now_ms)
    answers: dict[str, _Answer] = {
        api_table.DEVICES.name: api.devices,
        api_table.READINGS.name: api.readings,
        api_table.READINGS_CSV.name: api.readings_csv,
        api_table.ALERTS.name: api.alerts,
        api_table.OVERVIEW_CSV.name: api.overview_csv,
        api_table.OPENAPI.name: api.openapi,
    }
    for route in api_table.ROUTES:
        path = f"{settings.dashboard_url_prefix}{BASE}{route.path}"
        server.add_url_rule(path, f"api_{route.name}", _view(route, answers[route.name], now_ms), methods=["GET"])


def _view(route: Route, answer: _Answer, now_ms: ClockMs) -> Callable[[], Response]:
    def view() -> Response:
        started_s = time.perf_counter()
        try:
            response = answer(route, query_in(route, request.args.to_dict(flat=False), now_ms()))
        except ProblemError as error:
            response = api_problems.response(error)
        else:
            if not response.is_streamed:
                response.add_etag(weak=True)  # compression may follow
                response.make_conditional(request)
        API_REQUESTS.labels(route.name, str(response.status_code)).inc()
        response.call_on_close(lambda: API_SECONDS.labels(route.name).observe(time.perf_counter() - started_s))
        return response

    return view


class Api:
    """Answers queries out of a feed's store. Called from request threads; holds nothing of its own that changes."""

    def __init__(self, settings: Settings, feed: Feed, now_ms: ClockMs) -> None:
        """Ask nothing yet."""
        self._settings, self._feed, self._now_ms = settings, feed, now_ms
        version = metadata.version("sensorbus")
        self._description = orjson.dumps(api_openapi.description(settings.dashboard_url_prefix, version))

    def openapi(self, _route: Route, _query: Query) -> Response:
        """Answer with the description; it needs no Kafka."""
        return Response(self._description, content_type=JSON)

    def devices(self, route: Route, query: Query) -> Response:
        """Answer with devices."""
        self._check_ready()
        now_ms, settings = self._now_ms(), self._settings
        epoch, found = self._feed.store.read(lambda held, epoch: (epoch, api_devices.heard(held, settings, now_ms)))
        after = self._after(query, epoch, str)
        pipeline = self._feed.pipeline(now_ms)
        every = api_devices.rows(found, query, settings, pipeline)
        rows = list(islice((row for row in every if after is None or row["device_id"] > after), query.limit + 1))
        last = rows[query.limit - 1]["device_id"] if len(rows) > query.limit else None
        body = {"now": time_text(now_ms), "live": _is_live(pipeline), "devices": rows[: query.limit]}
        return self._page(route, query, body, epoch, last)

    def readings(self, route: Route, query: Query) -> Response:
        """Answer with readings."""
        threshold_kelvin = self._settings.alert_threshold_kelvin
        return self._samples(
            route, query, SENSOR.name, lambda sample: sample | {"above_threshold": sample["kelvin"] > threshold_kelvin}
        )

    def alerts(self, route: Route, query: Query) -> Response:
        """Answer with alerts."""
        return self._samples(route, query, ALERT.name, lambda sample: sample)

    def readings_csv(self, route: Route, query: Query) -> Response:
        """Answer with readings as CSV, row by row; what does not fit is told of by the header `Link`."""
        epoch, rows = self._rows(query, SENSOR.name, query.limit)
        number = api_csv.fitting(rows.device_ids)
        last = rows.last
        if number < len(rows.device_ids):  # once more with fewer, for the place where they end
            epoch, rows = self._rows(query, SENSOR.name, number)
            number, last = len(rows.device_ids), rows.last
        body = api_csv.lines(rows, number, query.unit, self._settings.alert_threshold_kelvin)
        response = Response(body, content_type=route.content_type)
        API_ROWS.labels(route.name).inc(number)
        return _with_next(_as_file(response, "sensorbus-readings.csv"), self._next(route, query, epoch, last))

    def overview_csv(self, route: Route, query: Query) -> Response:
        """Answer with the bands per second, of the fleet or of some of its devices, as CSV."""
        self._check_ready()
        since_ms = -math.inf if query.since_ms is None else query.since_ms
        until_ms = math.inf if query.until_ms is None else query.until_ms
        bands = self._feed.overview.by_second(self._now_ms(), _chosen(self._feed, query))
        wanted = {second_ms: band for second_ms, band in bands.items() if since_ms <= second_ms < until_ms}
        body, number = api_csv.overview(wanted, query.unit)
        API_ROWS.labels(route.name).inc(number)
        return _as_file(Response(body, content_type=route.content_type), "sensorbus-overview.csv")

    def _samples(
        self, route: Route, query: Query, topic: str, complete: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Response:
        epoch, rows = self._rows(query, topic, query.limit)
        live = _is_live(self._feed.pipeline(self._now_ms()))
        body = {"live": live, route.name: [complete(sample) for sample in _samples(rows)]}
        return self._page(route, query, body, epoch, rows.last)

    def _rows(self, query: Query, topic: str, limit: int) -> tuple[str, Rows]:
        self._check_ready()

        def begin(held: Held, epoch: str) -> tuple[str, Search]:
            after = self._after(query, epoch, RowPlace)
            wanted = Wanted(query.devices or None, query.since_ms, query.until_ms, limit, after)
            return epoch, Search(held, topic, wanted)

        store = self._feed.store
        epoch, search = store.read(begin)
        return epoch, search.rows(store)

    def _check_ready(self) -> None:
        """Raise `ProblemError` while this worker reads the history: an answer would lack rows and not say so."""
        self._feed.start()  # gunicorn's hook has done it; under another server the first request does
        reasons = self._feed.readiness()
        missing = [reasons[name] for name in _NOT_YET if name in reasons]
        if missing:
            raise catching_up("; ".join(missing))

    def _after(self, query: Query, epoch: str, kind: type[Any]) -> Any:
        """Return the place of the query's cursor; raises `ProblemError` when it is of other topics."""
        if query.after is None:
            return None
        if query.after.epoch != epoch:
            if not self._feed.can_judge(query.after.epoch):  # another worker may have seen new topics first
                raise catching_up("this worker looks for the topics of the cursor")
            raise stale_cursor(_OTHER_TOPICS)
        if not isinstance(query.after.place, kind):
            raise stale_cursor(_OTHER_TOPICS)
        return query.after.place

    def _page(self, route: Route, query: Query, body: dict[str, Any], epoch: str, last: Place | None) -> Response:
        API_ROWS.labels(route.name).inc(len(body[route.name]))
        following = self._next(route, query, epoch, last)
        return _with_next(Response(orjson.dumps(body | {"next": following}), content_type=JSON), following)

    def _next(self, route: Route, query: Query, epoch: str, last: Place | None) -> str | None:
        """Return the address of the rows that follow, relative to the host."""
        if last is None:
            return None
        cursor = text_of(Cursor(epoch, last, query.since_ms), query.key)
        kept = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
        path = f"{self._settings.dashboard_url_prefix}{BASE}{route.path}"
        return f"{path}?{urlencode([*kept, ('cursor', cursor)])}"


def _chosen(feed: Feed, query: Query) -> Integers | None:
    """Return the numbers of the devices that a query names, None when it names none."""
    if query.chosen is None:
        devices = query.devices
        return feed.store.read(lambda held, _epoch: held.names.known(devices)) if devices else None
    key, bits = query.chosen
    roster = feed.store.read(lambda held, _epoch: held.current_roster)
    if roster is None or roster.key != key:
        raise refused("chosen", "devices have come or gone since this choice was named; ask anew")
    return devices_in(bits, roster)


def _samples(rows: Rows) -> Sequence[dict[str, Any]]:
    return [
        {
            "device_id": device_id,
            "timestamp": time_text(time_ms),
            "celsius": celsius,
            "fahrenheit": fahrenheit_from_celsius(celsius),
            "kelvin": kelvin_from_celsius(celsius),
        }
        for device_id, time_ms, celsius in zip(rows.device_ids, rows.times_ms, rows.celsius, strict=True)
    ]


def _as_file(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _is_live(pipeline: Any) -> bool:
    return bool(pipeline["kafka"]["ok"]) and not pipeline["behind"]


def _with_next(response: Response, following: str | None) -> Response:
    if following is not None:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response
