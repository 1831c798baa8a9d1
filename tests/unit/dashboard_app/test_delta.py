"""The question in whatever a browser sent, and the answer of docs/tick.md."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.changes import Common, Question
from dashboard_app.delta import VERSION, cursor_in, cursor_text, first_part, last_part, question_in
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.ring import Records
from dashboard_app.store import Store
from sensorbus.contract.topics import ALERT, ALERT_COUNT, SENSOR
from tests.support.held_parts import records

NOW_MS = 1_769_860_800_000
EPOCH = "epoch"
CURSOR = {topic: {0: 5, 3: 2**60} for topic in CURSOR_TOPICS}
PIPELINE = {"kafka": {"ok": True, "since_ms": None, "error": None}, "topics": {"sensor": 5, "alert": None}}
FLEET, BANDS = orjson.Fragment(b'{"devices":2}'), orjson.Fragment(b'{"t":[]}')


def started(*names: str) -> Store:
    """Return a store that holds a reading for each name."""
    store = Store(1_000, 900_000)
    store.clear(EPOCH)
    for topic in CURSOR_TOPICS:
        store.begin(topic, 0, 0)
    count = len(names)
    times_ms = [NOW_MS - 1_000] * count
    fragments = [orjson.dumps((name, time_ms, 20.5)) for name, time_ms in zip(names, times_ms, strict=True)]
    store.append(
        SENSOR.name,
        Records([0] * count, list(range(count)), times_ms, list(names), times_ms, [20.5] * count, fragments),
    )
    return store


def answer(store: Store, body: object) -> dict[str, Any]:
    """Return the decoded answer to a browser's body."""
    changes = store.changes(question_in(body, store.epoch), NOW_MS)
    cursor = cursor_text(changes.common.cursor, store.epoch)
    text = first_part(changes.common, cursor, FLEET, None, PIPELINE) + last_part(changes)
    decoded: dict[str, Any] = json.loads(text)
    return decoded


def test_the_answer_has_the_fields_that_the_page_reads() -> None:
    """In docs/tick.md's words."""
    store = started("a", "a", "b")
    found = answer(store, {"cursor": None, "detail": None, "history": []})
    assert found == {
        "v": 7,
        "now": NOW_MS,
        "cursor": found["cursor"],
        "reset": True,
        "devices": {"id": ["a", "b"], "age_ms": [1_000, 1_000], "lowest": 2_050, "hundredths": [0, 0]},
        "history": {"id": ["a"], "readings": [1], "ms": [-1_000], "hundredths": [2_050]},
        "averages": {"id": [], "age_ms": [], "lowest": 0, "hundredths": []},
        "fleet": {"devices": 2},
        "pipeline": {"topics": [5, None]},
    }
    following = answer(store, {"cursor": found["cursor"]})
    assert following.keys() == {"v", "now", "cursor", "devices", "averages", "fleet", "pipeline"}
    assert following["devices"]["id"] == []


def test_what_is_wrong_with_kafka_is_told_and_the_overview_of_a_large_fleet() -> None:
    """Of a Kafka that answers nothing but that."""
    away = {"kafka": {"ok": False, "since_ms": 7, "error": "away"}, "topics": {}}
    told = json.loads(first_part(Common(now_ms=NOW_MS), "c", FLEET, BANDS, away) + b"}")
    assert (told["pipeline"], told["overview"]) == ({**away, "topics": []}, {"t": []})


def test_a_roster_is_told_once_and_stands_for_the_names() -> None:
    """A browser that names it gets columns without ids."""
    store = started("a", "b", "c", "d")
    for _ in range(2):
        store.settle()
    whole = answer(store, None)
    key, names = whole["roster"]
    assert names == ["a", "b", "c", "d"]
    found = answer(store, {"cursor": None, "roster": key})
    assert ("roster" in found, found["averages"]) == (False, {"steps": [], "age_ms": [], "lowest": 0, "hundredths": []})
    assert found["devices"] == {"age_ms": [1_000] * 4, "lowest": 2_050, "hundredths": [0] * 4}
    rows = [[name, NOW_MS, 21.0] for name in ("d", "b")]
    store.append(SENSOR.name, records(0, 4, rows))
    some = answer(store, {"cursor": whole["cursor"], "roster": key})["devices"]
    assert some == {"steps": [1, 2], "age_ms": [0, 0], "lowest": 2_100, "hundredths": [0, 0]}


@pytest.mark.parametrize(
    ("received", "column"),
    [
        (21.95, {"lowest": 2_195, "hundredths": [0]}),
        (0.07, {"lowest": 7, "hundredths": [0]}),
        (-273.15, {"lowest": -27_315, "hundredths": [0]}),
        (21.955, {"celsius": [21.955]}),
        (1e-9, {"celsius": [1e-9]}),
    ],
)
def test_a_temperature_is_told_as_it_was_received(received: float, column: dict[str, object]) -> None:
    """In hundredths where a hundredth of it is the same number, as nearly always."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["a", NOW_MS, received]]))
    told = answer(store, None)["devices"]
    assert told.items() >= column.items()


def test_a_hostile_name_stays_text_in_the_json() -> None:
    """It is escaped as JSON and nothing else; the browser writes it as text."""
    name = '</script><img src=x onerror="alert(1)">\\ ' + "\N{GRINNING FACE}"
    assert answer(started(name), None)["devices"]["id"] == [name]


def test_a_cursor_survives_its_way_through_the_browser() -> None:
    """Offsets of all four topics by partition."""
    assert cursor_in(cursor_text(CURSOR, EPOCH), EPOCH) == CURSOR


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "null",
        "[]",
        '["epoch",[]]',
        '["epoch",[[],[],[]]]',
        '["epoch",[[],[],[],[],[]]]',
        '["epoch",[[[0,-1]],[],[],[]]]',
        '["epoch",[[[0,1.5]],[],[],[]]]',
        '["epoch",[[[0,true]],[],[],[]]]',
        '["epoch",[[[0,9223372036854775808]],[],[],[]]]',
        '["epoch",[[[0,1,2]],[],[],[]]]',
        '["epoch",[7,[],[],[]]]',
        '["epoch",{"sensor":1}]',
        "[" * 50_000,
        cursor_text(CURSOR, "another cluster"),
        " " * 200_000 + cursor_text(CURSOR, EPOCH),
    ],
)
def test_an_unreadable_or_foreign_cursor_asks_for_everything(text: object) -> None:
    """As null does: with `reset`."""
    assert cursor_in(text, EPOCH) is None
    assert answer(started("a"), {"cursor": text})["reset"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
_CURSORS = st.lists(st.lists(st.lists(st.integers(-1, 2**64), max_size=3), max_size=3), max_size=5).map(
    lambda topics: json.dumps([EPOCH, topics])
)


@given(
    _JSON
    | st.fixed_dictionaries(
        {},
        optional={
            "overview": _JSON,
            "cursor": _JSON | _CURSORS,
            "detail": _JSON | st.lists(_JSON),
            "history": _JSON | st.lists(_JSON),
        },
    )
)
def test_any_json_is_answered(body: object) -> None:
    """Never an exception, whatever a browser, or somebody who is none, sends."""
    assert answer(started("a", "b"), body)["v"] == VERSION


def test_a_question_names_a_bounded_number_of_devices() -> None:
    """200 in view, 50 that came into view; what is no text is no name."""
    names = [str(number) for number in range(1_000)]
    question = question_in({"detail": [7, None, *names], "history": names}, EPOCH)
    assert question.detail is not None
    assert (len(question.detail), len(question.history)) == (198, 50)
    assert question_in({"detail": "ab", "history": "ab"}, EPOCH) == Question(None, None, [])


def test_an_answer_is_capped_and_says_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that lags must not ask for more and more; the newest of each device comes all the same."""
    monkeypatch.setattr("dashboard_app.changes._MAX_READINGS", 3)
    found = answer(started("a", "b", "c", "d", "e", "a", "b", "c", "d", "e"), None)
    assert found["history"]["id"] == ["c", "d", "e"]
    assert (found["skipped"], found["devices"]["id"]) == (2, ["a", "b", "c", "d", "e"])


@pytest.mark.parametrize(
    ("turn", "taken"), [(0, 0), (99_999, 99_999), (100_000, None), (-1, None), (True, None), (1.0, None), ("1", None)]
)
def test_a_turn_is_a_place_in_a_roster(turn: object, taken: int | None) -> None:
    """Whatever else was sent asks for all that is new."""
    assert question_in({"turn": turn}, EPOCH).turn == taken


def test_how_many_readings_are_new_is_told_with_a_turn() -> None:
    """Who is told of all devices counts them."""
    store = started("a", "b")
    cursor = answer(store, None)["cursor"]
    store.append(SENSOR.name, records(0, 2, [["c", NOW_MS + age_ms, 21.0] for age_ms in range(3)]))
    assert answer(store, {"cursor": cursor, "turn": 0})["new"] == 3
    assert "new" not in answer(store, {"cursor": cursor})


def test_alerts_and_counts_are_columns() -> None:
    """Counts are whole numbers, with the ages of their windows' starts."""
    store = started("a")
    store.append(ALERT.name, records(0, 0, [["a", NOW_MS - 5, 40.5]]))
    store.append(ALERT_COUNT.name, records(0, 0, [["a", NOW_MS - 4_000, 2.0]]))
    told = answer(store, None)
    assert told["alerts"] == {"id": ["a"], "age_ms": [5], "lowest": 4_050, "hundredths": [0]}
    assert told["counts"] == {"id": ["a"], "age_ms": [4_000], "count": [2]}
