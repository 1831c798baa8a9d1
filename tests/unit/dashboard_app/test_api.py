"""The API's routes, asked as a client asks them.

Answers, pages, refusals, whatever is sent.
"""

from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from prometheus_client import REGISTRY

from dashboard_app.api_openapi import description
from dashboard_app.api_table import ROUTES, Route
from dashboard_app.reader import Health
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT
from tests.support.api_parts import NOW_MS, HeldFeed, pages, partition_of

ODD = ("a/b", "a//b", "..", "50%", "\N{FIRE}", "<img src=x onerror=alert(1)>", '=HYPERLINK("x")', "a b?c#d&e+f")
ROWS = [(device, NOW_MS - 100 * number, 20.0 + number % 20) for number in range(300) for device in ("a", "b", *ODD)]


@pytest.fixture(scope="module")
def feed() -> HeldFeed:
    """Give a feed with readings and alerts of some devices."""
    feed = HeldFeed()
    feed.put(ROWS)
    feed.put([row for row in ROWS if row[2] > 30], ALERT.name)
    return feed


@pytest.fixture(scope="module")
def client(feed: HeldFeed) -> FlaskClient:
    """Give a client of that feed's worker."""
    return feed.client()


def problem(client: FlaskClient, url: str, status: int) -> dict[str, Any]:
    """Return the problem that a request is answered with, checked against its schema."""
    answer = client.get(url)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    fields: dict[str, Any] = answer.json or {}
    check(fields, description("/", "1")["components"]["schemas"]["Problem"])
    return fields


def check(value: object, schema: dict[str, Any]) -> None:
    """Expect a value that is valid."""
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(value)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.schema_name], ids=lambda route: route.name)
def test_every_answer_is_as_it_is_described(client: FlaskClient, route: Route) -> None:
    """Full pages, single devices, empty ones."""
    for query in ("", "?limit=1", "?device=a", "?device=nobody"):
        answer = client.get(f"/api/v1{route.path}{query}")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-cache"
        check(answer.json, route.schema)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_give_every_row_once_in_order(client: FlaskClient, limit: int) -> None:
    """The same rows, whatever the size of a page."""
    rows = pages(client, f"/api/v1/readings?limit={limit}&device=a&device=b", "readings")
    told = [(row["timestamp"], row["device_id"], row["celsius"]) for row in rows]
    assert len(told) == len(set(told)) == 600
    assert [row[0] for row in told] == sorted(row[0] for row in told)
    assert rows == pages(client, "/api/v1/readings?limit=1000&device=a&device=b", "readings")


@pytest.mark.parametrize("device_id", ODD)
def test_a_device_of_any_name_is_found(client: FlaskClient, device_id: str) -> None:
    """Percent-encoded in the query, on every route, through pages too."""
    for path, name in (("readings", "readings"), ("alerts", "alerts"), ("devices", "devices")):
        answer = client.get(f"/api/v1/{path}", query_string={"device": device_id, "limit": 1})
        assert answer.json is not None
        rows = answer.json[name] + (pages(client, answer.json["next"], name) if answer.json["next"] else [])
        assert {row["device_id"] for row in rows} == {device_id}
        assert len(rows) == {"readings": 300, "alerts": 135, "devices": 1}[path]


def test_a_cursor_of_one_worker_is_good_on_another(feed: HeldFeed, client: FlaskClient) -> None:
    """Which read one partition after the other."""
    other = HeldFeed()
    other.put(sorted(ROWS, key=lambda row: partition_of(row[0])))
    following = client.get("/api/v1/readings?limit=50").json
    assert following is not None
    here, there = client.get(following["next"]), other.client().get(following["next"])
    assert here.json == there.json
    assert feed.store.epoch == other.store.epoch


def test_time_bounds_are_half_open(client: FlaskClient) -> None:
    """`since` counts in, `until` does not; `last` is from now back, and its pages keep its start."""
    since, until = "2026-01-31T11:59:59.800Z", "2026-01-31T13:00:00%2B01:00"
    rows = pages(client, f"/api/v1/readings?device=a&since={since}&until={until}", "readings")
    assert [row["timestamp"][17:] for row in rows] == ["59.800Z", "59.900Z"]
    assert len(pages(client, "/api/v1/readings?device=a&last=200ms&limit=1", "readings")) == 3


@pytest.mark.parametrize("devices", [2, 150])
def test_the_overview_is_of_all_devices_by_second(devices: int) -> None:
    """Of small fleets and of large ones, whose bands the consumer thread has made; `[since, until)`."""
    feed = HeldFeed()
    feed.put(
        [
            (f"d{number}", NOW_MS - age_ms, 20.0 + number)
            for age_ms in (3_000, 2_000, 1_000)
            for number in range(devices)
        ]
    )
    feed.overview.update(NOW_MS)
    span = "since=2026-01-31T11:59:58Z&until=2026-01-31T11:59:59Z"
    answer = feed.client().get(f"/api/v1/overview.csv?{span}")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sensorbus-overview.csv"'
    header, *rows = answer.text.splitlines()
    assert header == "time_utc,min_celsius,p10_celsius,median_celsius,p90_celsius,max_celsius"
    assert [row.split(",")[0] for row in rows] == ["2026-01-31T11:59:58.000Z"]
    assert (float(rows[0].split(",")[1]), float(rows[0].split(",")[-1])) == (20, 19 + devices)


def test_the_overview_is_of_the_devices_that_are_named() -> None:
    """By their names, or as the page names a choice of many; who is named by neither is not in it."""
    feed = HeldFeed()
    feed.put([(f"d{number:03d}", NOW_MS - 2_000, 20.0 + number) for number in range(150)])
    client = feed.client()
    for _ in range(2):
        feed.store.settle()
    key = feed.store.read(lambda held, _epoch: held.roster.key)
    for query, lowest, highest in (
        ("device=d001&device=d004&device=nobody", "21", "24"),
        (f"chosen={key}.AAE", "28", "28"),
        (f"chosen={key}.____", "20", "43"),
        ("device=nobody", None, None),
    ):
        rows = [row.split(",") for row in client.get(f"/api/v1/overview.csv?{query}").text.splitlines()[1:]]
        assert [(row[1], row[-1]) for row in rows] == ([(lowest, highest)] if lowest else [])
    for query in ("chosen=other.AAE", f"chosen={key}", f"chosen={key}.AAE&device=d001", "chosen=.AAE"):
        assert problem(client, f"/api/v1/overview.csv?{query}", 400)["parameter"] == "chosen"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("foo=1", "foo"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=\N{ARABIC-INDIC DIGIT ONE}", "limit"),
        ("since=yesterday", "since"),
        ("since=2026-01-31T12:00:00", "since"),
        ("since=2026-02-30T12:00:00Z", "since"),
        ("until=0001-01-01T00:00:00Z", "until"),
        ("since=2026-01-31T12:00:00Z&until=2026-01-31T11:00:00Z", "until"),
        ("last=1", "last"),
        ("last=0s", "last"),
        ("last=1s&since=2026-01-31T12:00:00Z", "last"),
        ("device=", "device"),
        (f"device={'x' * 129}", "device"),
        ("&".join(["device=a"] * 101), "device"),
        ("state=OK", "state"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
    ],
    ids=lambda value: value[:40],
)
def test_a_parameter_that_makes_no_sense_is_named(client: FlaskClient, query: str, parameter: str) -> None:
    """400, with what would make sense."""
    assert problem(client, f"/api/v1/readings?{query}", 400)["parameter"] == parameter


def test_a_cursor_of_another_request_is_refused(client: FlaskClient) -> None:
    """With the way out."""
    answer = client.get("/api/v1/readings?device=a&limit=1").json
    assert answer is not None
    told = problem(client, answer["next"].replace("device=a", "device=b"), 400)
    assert (told["parameter"], "start again without `cursor`" in told["detail"]) == ("cursor", True)


def test_a_cursor_of_topics_that_are_gone_is_refused_once_that_is_sure(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while the worker looks whether it is itself the one that is late."""
    answer = client.get("/api/v1/readings?limit=1").json
    assert answer is not None
    other = HeldFeed(epoch="another")
    other.put(ROWS)
    assert problem(other.client(), answer["next"], 503)["type"].endswith("catching-up")
    monkeypatch.setattr(other, "can_judge", lambda _epoch: True)
    assert problem(other.client(), answer["next"], 400)["type"].endswith("stale-cursor")


def test_a_cursor_whose_row_is_dropped_is_refused() -> None:
    """Rows after it may be dropped as well, and nobody would know."""
    feed = HeldFeed(Settings(dashboard_ring_rows=1_000))
    feed.put(ROWS[:1_000])
    client = feed.client()
    answer = client.get("/api/v1/readings?limit=1").json
    assert answer is not None
    assert client.get(answer["next"]).status_code == 200
    feed.put([("a", NOW_MS + number, 20.0) for number in range(1_000)])
    assert problem(client, answer["next"], 400)["type"].endswith("stale-cursor")


def test_a_worker_that_reads_the_history_says_so() -> None:
    """503 and when to ask again; the description needs no history."""
    late = HeldFeed()
    late.health = Health(kafka_ok=True, is_assigned=True, behind=7)
    client = late.client()
    for path in ("devices", "readings", "readings.csv", "alerts"):
        assert "7 records behind" in problem(client, f"/api/v1/{path}", 503)["detail"]
        assert client.get(f"/api/v1/{path}").headers["Retry-After"] == "1"
    assert client.get("/api/v1/openapi.json").status_code == 200


def test_rows_of_before_an_outage_are_marked() -> None:
    """`live` is false while Kafka does not answer."""
    cut_off = HeldFeed()
    cut_off.put(ROWS)
    cut_off.health = Health(kafka_ok=False, is_assigned=True, is_caught_up=True)
    for path in ("devices", "readings", "alerts"):
        answer = cut_off.client().get(f"/api/v1/{path}").json
        assert answer is not None
        assert answer["live"] is False


def test_what_is_as_it_was_is_not_sent_again(client: FlaskClient) -> None:
    """By ETag."""
    first = client.get("/api/v1/readings?device=a")
    again = client.get("/api/v1/readings?device=a", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_csv_is_streamed_and_goes_on_by_its_link(client: FlaskClient) -> None:
    """With the page's columns."""
    answer = client.get("/api/v1/readings.csv?device=a&limit=200&unit=kelvin")
    lines = answer.text.split("\r\n")
    assert lines[0] == "time_utc,device_id,temperature_kelvin,above_threshold"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    following = answer.headers["Link"].removeprefix("<").partition(">")[0]
    rest = client.get(following)
    assert "Link" not in rest.headers
    assert len(lines[1:-1]) + len(rest.text.split("\r\n")[1:-1]) == 300


def test_the_api_stands_behind_the_prefix() -> None:
    """And so do its links."""
    feed = HeldFeed(Settings(dashboard_url_prefix="/x/"))
    feed.put(ROWS)
    client = feed.client()
    assert len(pages(client, "/x/api/v1/readings?limit=100&device=a", "readings")) == 300
    assert problem(client, "/x/api/v1/nowhere", 404)["detail"].endswith("/x/api/v1/openapi.json")
    assert client.get("/api/v1/readings").status_code == 404


_NAMES = st.sampled_from(["device", "state", "since", "until", "last", "limit", "cursor", "unit"]) | st.text(max_size=5)
_TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "1",
        "a",
        "9" * 30,
        "2026-01-31T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "999999999h",
        "W10",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(st.sampled_from([route.path for route in ROUTES]), st.lists(st.tuples(_NAMES, _TEXTS), max_size=4))
def test_no_query_is_answered_with_a_500(client: FlaskClient, path: str, query: list[tuple[str, str]]) -> None:
    """Rows, or a problem that says nothing of the inside."""
    answer = client.get(f"/api/v1{path}", query_string=query)
    assert answer.status_code in (200, 400)
    assert "Traceback" not in answer.text


def test_times_that_no_calendar_has_are_shown() -> None:
    """A device may say any time before now; its offset may lead before the year 1."""
    feed = HeldFeed()
    feed.put([("old", -62_135_596_800_000 - 50_000_000, 20.0)], append_ms=NOW_MS)
    client = feed.client()
    assert pages(client, "/api/v1/readings", "readings")[0]["timestamp"] == "0001-01-01T00:00:00.000Z"
    assert pages(client, "/api/v1/devices", "devices")[0]["state"] == "OFFLINE"


def _counted(client: FlaskClient, url: str, route: str, status: str) -> tuple[float, float, float]:
    """Return what a request adds: requests of this status, rows, durations."""
    samples = (
        ("sensorbus_api_requests_total", {"route": route, "status": status}),
        ("sensorbus_api_rows_total", {"route": route}),
        ("sensorbus_api_seconds_count", {"route": route}),
    )
    before = [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in samples]
    client.get(url).close()
    after = [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in samples]
    requests, rows, durations = (new - old for new, old in zip(after, before, strict=True))
    return requests, rows, durations


@pytest.mark.parametrize(
    ("path", "route", "status", "rows"),
    [
        ("readings?limit=7", "readings", "200", 7),
        ("devices", "devices", "200", 10),
        ("alerts?limit=3", "alerts", "200", 3),
        ("readings.csv?limit=20", "readings_csv", "200", 20),
        ("readings?limit=0", "readings", "400", 0),
        ("overview.csv?last=10s", "overview_csv", "200", 9),
        ("openapi.json", "openapi", "200", 0),
    ],
)
def test_requests_rows_and_durations_are_counted(
    client: FlaskClient, path: str, route: str, status: str, rows: int
) -> None:
    """By route; a refusal by its status, streamed rows too."""
    assert _counted(client, f"/api/v1/{path}", route, status) == (1, rows, 1)
