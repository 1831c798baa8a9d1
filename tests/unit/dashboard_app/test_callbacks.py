"""The tick's callback, asked as Dash asks it.

What a worker says to a cursor of topics that it does not know.
"""

import json
import time
from typing import Any

import orjson
import pytest

from dashboard_app import ids
from dashboard_app.app import create_app
from dashboard_app.delta import cursor_text
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.ring import Records
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from tests.support.held_parts import StillFeed
from tests.support.ticks import tick_body, whole

NOW_MS = 1_769_860_800_000
OTHERS: dict[str, dict[int, int]] = {topic: {0: 1} for topic in CURSOR_TOPICS}


class HeldFeed(StillFeed):
    """A feed that asks no Kafka and holds one reading of the topics "old"."""

    def __init__(self) -> None:
        """Fill the store as the consumer thread does."""
        super().__init__(Settings(), lambda: NOW_MS)
        self.store.clear("old")
        for topic in CURSOR_TOPICS:
            self.store.begin(topic, 0, 0)
        shown = orjson.dumps(["a", NOW_MS, 20.5])
        self.store.append(SENSOR.name, Records([0], [0], [NOW_MS], ["a"], [NOW_MS], [20.5], [shown]))

    def look(self) -> None:
        """Have asked Kafka what there is, just now."""
        self._reader.looked_s = time.monotonic()

    @property
    def is_asked_to_look(self) -> bool:
        """Tell whether the consumer thread was asked to look."""
        return self._reader._is_doubted


@pytest.fixture
def feed() -> HeldFeed:
    """Give such a feed."""
    return HeldFeed()


def tick(feed: HeldFeed, cursor: Any) -> dict[str, Any]:
    """Return the answer to a cursor."""
    client = create_app(feed._settings, feed, lambda: NOW_MS).server.test_client()
    body = tick_body({"cursor": cursor, "detail": None, "history": []})
    answer = client.post("/_dash-update-component", json=body).json
    assert answer is not None
    return whole(json.loads(answer["response"][ids.DELTA]["data"]))


def test_topics_that_another_worker_saw_first_are_looked_for_before_anything_is_said(feed: HeldFeed) -> None:
    """The readings held here may be of topics that are gone: they must not come back on the page."""
    cursor = cursor_text(OTHERS, "new")
    answer = tick(feed, cursor)
    assert (answer["reset"], answer["readings"], answer["devices"]["id"], answer["cursor"]) == (False, [], [], cursor)
    assert feed.is_asked_to_look


def test_after_that_look_a_foreign_cursor_is_answered_with_everything(feed: HeldFeed) -> None:
    """It was of another cluster, or of topics that are gone."""
    cursor = cursor_text(OTHERS, "gone")
    tick(feed, cursor)
    feed.look()
    answer = tick(feed, cursor)
    assert (answer["reset"], answer["devices"]["id"], answer["devices"]["lowest"]) == (True, ["a"], 2_050)


def test_a_look_before_the_cursor_was_heard_of_says_nothing_of_it(feed: HeldFeed) -> None:
    """The topics may have been made anew since."""
    feed.look()
    assert not tick(feed, cursor_text(OTHERS, "new"))["reset"]


def test_a_worker_that_cannot_look_judges_after_a_while(feed: HeldFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka is away: the page gets what is held here rather than nothing."""
    cursor = cursor_text(OTHERS, "new")
    assert not tick(feed, cursor)["reset"]
    later_s = time.monotonic() + 6
    monkeypatch.setattr("dashboard_app.feed.time.monotonic", lambda: later_s)
    assert tick(feed, cursor)["reset"]


def test_the_answer_is_what_dash_would_answer(feed: HeldFeed) -> None:
    """Our view stands in for Dash's, which knows callbacks of any kind; the browser must not tell them apart."""
    app = create_app(feed._settings, feed, lambda: NOW_MS)
    body = tick_body({"cursor": None, "detail": None, "history": []})
    ours = app.server.test_client().post("/_dash-update-component", json=body)
    with app.server.test_request_context("/_dash-update-component", method="POST", json=body):
        dashs = app.backend.serve_callback(app)()
    assert ours.json == dashs.get_json()
    assert (ours.status_code, ours.mimetype) == (dashs.status_code, dashs.mimetype) == (200, "application/json")


@pytest.mark.parametrize("cursor", [None, "", "[", '["new"]', '["new", 7]', "[7, [[], [], [], []]]", 7])
def test_a_cursor_that_is_none_is_answered_at_once(feed: HeldFeed, cursor: object) -> None:
    """There is nothing to look for."""
    assert tick(feed, cursor)["reset"]
    assert not feed.is_asked_to_look


def test_made_up_cursors_fill_no_memory(feed: HeldFeed) -> None:
    """A browser may name as many other topics as it likes."""
    for number in range(500):
        feed.can_judge(f"made up {number}")
    assert len(feed._heard_s) == 100
