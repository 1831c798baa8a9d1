"""The API as it is deployed.

gunicorn with several workers in front of each kind of broker.
"""

import csv
import io
import json
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR
from tests.support.dashboards import START_MS, Dashboard, dashboard, send_readings
from tests.support.sources import REPOSITORY
from tests.support.ticks import get
from tests.support.topics import Record, produce
from tests.support.waiting import wait_until

_EXAMPLE: Final = re.compile(r"^curl .*'http://localhost:8050(/\S+)'$", re.MULTILINE)
_ODD: Final = ("a/b", "..", "50%", "\N{FIRE}", "<img src=x onerror=alert(1)>", '=HYPERLINK("x")')


def read(page: Dashboard, path: str) -> dict[str, Any]:
    """Return an answer's body; a worker that is not ready is asked again."""
    answers: list[str] = []

    def is_answered() -> bool:
        status, text = get(f"{page.root}{path}")
        answers.append(text)
        assert status in (200, 503), text
        return status == 200

    wait_until(is_answered, 15, path, page.part.log)
    body: dict[str, Any] = json.loads(answers[-1])
    return body


def walk(page: Dashboard, path: str, name: str) -> list[dict[str, Any]]:
    """Return all rows behind a path, each page from whichever worker answers."""
    rows: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        body = read(page, following)
        rows += body[name]
        following = body["next"]
    return rows


def test_pages_come_whole_from_whichever_worker_answers(fresh_settings: Settings, tmp_path: Path) -> None:
    """Over new connections, behind a prefix; the same readings as a tick has."""
    sent = send_readings(fresh_settings, 0, 1_000)
    page = dashboard(fresh_settings, tmp_path, dashboard_workers=4, dashboard_url_prefix="/t/")
    with page.part:
        page.wait_ready()
        wait_until(lambda: len(walk(page, "/t/api/v1/readings", "readings")) == 1_000, 15, "all", page.part.log)
        rows = walk(page, "/t/api/v1/readings?limit=30", "readings")
        told = [(row["device_id"], row["timestamp"], row["celsius"]) for row in rows]
        assert told == [(name, messages.iso_timestamp(time_ms), celsius) for name, time_ms, celsius in sent]
        page.part.stop(within_s=10)


def test_a_name_of_any_characters_goes_through_the_server(fresh_settings: Settings, tmp_path: Path) -> None:
    """In queries, in CSV, and in the path of its page, without a redirect to another one."""
    values = [(name, messages.encode_reading(name, messages.iso_timestamp(START_MS), 20.0)) for name in (*_ODD, "a//b")]
    produce(fresh_settings, SENSOR, (Record(name.encode(), value) for name, value in values))
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        wait_until(lambda: len(read(page, "/api/v1/devices")["devices"]) == 7, 15, "the devices", page.part.log)
        for name, _ in values:
            quoted = urllib.parse.quote(name, safe="")
            assert [row["device_id"] for row in read(page, f"/api/v1/readings?device={quoted}")["readings"]] == [name]
            text = get(f"{page.root}/api/v1/readings.csv?device={quoted}")[1]
            rows = list(csv.reader(io.StringIO(text)))
            assert rows[1] == ["2026-01-31T12:00:00.000Z", f"'{name}" if name[0] == "=" else name, "20", "no"]
            with urllib.request.urlopen(f"{page.root}/device/{quoted}") as answer:  # noqa: S310  # our own dashboard
                assert (answer.status, answer.url) == (200, f"{page.root}/device/{quoted}")
                assert "script-src 'self' 'sha256-" in answer.headers["Content-Security-Policy"]


def test_the_examples_of_the_docs_are_answered_as_described(fresh_settings: Settings, tmp_path: Path) -> None:
    """One per route and no route without; every answer is valid against the description that the server gives."""
    send_readings(fresh_settings, 0, 100)
    reading = messages.Reading("a", messages.iso_timestamp(START_MS), START_MS, 40.0)
    alert = messages.encode_alert(messages.alert_from_reading(reading, 313.15))
    produce(fresh_settings, ALERT, [Record(b"a", alert)])
    examples = _EXAMPLE.findall((REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8"))
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        wait_until(lambda: len(read(page, "/api/v1/alerts")["alerts"]) == 1, 15, "the alert", page.part.log)
        description = read(page, "/api/v1/openapi.json")
        OpenAPIV31SpecValidator(description).validate()
        assert sorted(path.partition("?")[0] for path in examples) == sorted(
            f"/api/v1{path}" for path in description["paths"]
        )
        for example in examples:
            status, text = get(f"{page.root}{example}")
            assert status == 200, text
            operation = description["paths"][example.partition("?")[0].removeprefix("/api/v1")]["get"]
            content = operation["responses"]["200"]["content"]
            if "application/json" in content:
                schema = content["application/json"]["schema"] | {"components": description["components"]}
                Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(text))
        assert "Traceback" not in page.part.said()


def test_devices_are_told_as_a_tick_tells_them(fresh_settings: Settings, tmp_path: Path) -> None:
    """Same ids, times and temperatures."""
    send_readings(fresh_settings, 0, 60, devices=20)
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        wait_until(lambda: browser.tick() and len(browser.readings) == 60, 15, "the readings", page.part.log)
        told = walk(page, "/api/v1/devices?limit=7", "devices")
    shown = {name: (messages.iso_timestamp(row[0]), row[1]) for name, row in browser.devices.items()}
    assert {row["device_id"]: (row["timestamp"], row["celsius"]) for row in told} == shown
    assert all(row["state"] == "OFFLINE" for row in told)
