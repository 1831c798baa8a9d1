"""The store, while it is written to.

What a browser gets from it, from one or from many.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.changes import Changes, Columns, Cursor, Question
from dashboard_app.devices import roster
from dashboard_app.held import ALL_DETAIL_DEVICES, CURSOR_TOPICS
from dashboard_app.store import Store
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR
from tests.support.held_parts import HISTORY_MS, NOW_MS, records, told

PARTITIONS = 4
EVERYTHING = Question(None, None, ())


def started(ring_rows: int = 10_000, **options: int) -> Store:
    """Return a store that reads empty topics from their start."""
    store = Store(ring_rows, HISTORY_MS, **options)
    store.clear("epoch")
    for topic in CURSOR_TOPICS:
        for partition in range(PARTITIONS):
            store.begin(topic, partition, 0)
    return store


def decoded(fragments: Sequence[bytes]) -> list[Any]:
    """Return the arrays in fragments."""
    return [orjson.loads(fragment) for fragment in fragments]


def shown(columns: Columns) -> list[list[Any]]:
    """Return the rows [device, time_ms, value] in columns."""
    names = [orjson.loads(name) for name in columns.names or ()]
    return [list(row) for row in zip(names, columns.times_ms.tolist(), columns.values.tolist(), strict=True)]


def seen(changes: Changes) -> list[list[Any]]:
    """Return the readings that a browser takes from an answer in which every device is in detail."""
    return told(changes) + shown(changes.common.devices)


def ask(store: Store, cursor: Cursor | None = None, detail: Sequence[str] | None = None, *history: str) -> Changes:
    """Return what is new for a browser."""
    return store.changes(Question(cursor, detail, history), NOW_MS)


def test_the_first_answer_holds_everything_and_the_next_what_came_since() -> None:
    """A browser keeps what it has."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["a", NOW_MS - 2, 20.5], ["a", NOW_MS - 1, 21.0]]))
    first = ask(store)
    store.append(SENSOR.name, records(1, 0, [["b", NOW_MS, 22.0]]))
    second = ask(store, first.common.cursor)
    assert (first.common.reset, told(first)) == (True, [["a", NOW_MS - 2, 20.5]])
    assert (shown(first.common.devices), first.common.devices.previous) == ([["a", NOW_MS - 1, 21.0]], [(0, 20.5)])
    assert (second.common.reset, told(second)) == (False, [])
    assert (shown(second.common.devices), second.common.devices.previous) == ([["b", NOW_MS, 22.0]], [])
    third = ask(store, second.common.cursor)
    empty = [shown(columns) for columns in (third.common.alerts, third.common.counts, third.averages)]
    assert (seen(third), empty) == ([], [[], [], []])


def test_a_reading_that_is_not_its_devices_newest_is_told_apart() -> None:
    """One that comes late, and those between two ticks, are drawn; the newest is told once, as the device's."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["a", NOW_MS - 9, 20.0]]))
    cursor = ask(store).common.cursor
    rows = [["a", NOW_MS - 5, 21.0], ["a", NOW_MS - 7, 22.0], ["a", NOW_MS - 4, 23.0]]
    store.append(SENSOR.name, records(0, 1, rows))
    changes = ask(store, cursor)
    assert (told(changes), shown(changes.common.devices)) == (rows[:2], rows[2:])
    assert changes.common.devices.previous == [(0, 21.0)]
    store.append(SENSOR.name, records(0, 4, [["a", NOW_MS - 6, 24.0]]))
    late = ask(store, changes.common.cursor)
    assert (told(late), shown(late.common.devices)) == ([["a", NOW_MS - 6, 24.0]], [])


def test_results_come_since_the_cursor_and_the_last_of_each_window_and_device_alone() -> None:
    """A count of the same window replaces; of the averages the newest is shown."""
    store = started()
    store.append(ALERT.name, records(0, 0, [["a", 1, 40.0], ["a", 2, 41.0]]))
    store.append(ALERT_COUNT.name, records(0, 0, [["a", 0, 5_000, 1], ["a", 1_000, 6_000, 1], ["a", 0, 5_000, 2]]))
    store.append(AVG_TEMP.name, records(0, 0, [["a", 10_000, 20.0], ["b", 10_000, 5.0], ["a", 11_000, 21.0]]))
    changes = ask(store)
    assert shown(changes.common.alerts) == [["a", 1, 40.0], ["a", 2, 41.0]]
    assert shown(changes.common.counts) == [["a", 0, 2], ["a", 1_000, 1]]
    assert shown(changes.averages) == [["a", 11_000, 21.0], ["b", 10_000, 5.0]]
    store.append(AVG_TEMP.name, records(0, 3, [["b", 11_000, 6.0]]))
    assert shown(ask(store, changes.common.cursor).averages) == [["b", 11_000, 6.0]]


def test_readings_come_of_the_devices_in_view_and_history_of_those_that_came_into_view() -> None:
    """What is not drawn costs nothing."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["a", 1, 20.0], ["b", 1, 21.0], ["c", 1, 22.0]]))
    cursor = ask(store, None, ["a"]).common.cursor
    store.append(SENSOR.name, records(0, 3, [["a", 2, 20.0], ["b", 2, 21.0], ["c", 2, 22.0]]))
    store.append(SENSOR.name, records(0, 6, [["a", 3, 20.0], ["b", 3, 21.0], ["c", 3, 22.0]]))
    assert told(ask(store, cursor, ["a", "nobody"])) == [["a", 2, 20.0]]
    assert told(ask(store, cursor, ["a", "b"], "b")) == [["b", 1, 21.0], ["a", 2, 20.0], ["b", 2, 21.0]]
    assert told(ask(store, cursor, [])) == []
    assert shown(ask(store, cursor, []).common.devices) == [["a", 3, 20.0], ["b", 3, 21.0], ["c", 3, 22.0]]


def test_the_history_of_a_device_without_news_comes_whole() -> None:
    """Its newest reading is not among the devices of that answer."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["a", 1, 20.0], ["a", 2, 21.0]]))
    cursor = ask(store).common.cursor
    changes = ask(store, cursor, ["a"], "a")
    assert (told(changes), shown(changes.common.devices)) == ([["a", 1, 20.0], ["a", 2, 21.0]], [])


def test_with_many_devices_no_reading_is_sent_unless_it_is_asked_for() -> None:
    """Each browser of a large fleet gets the newest of each device and what it draws."""
    store = started()
    for second in (1, 2):
        many = [[f"d{number}", second, 20.0] for number in range(ALL_DETAIL_DEVICES + 1)]
        store.append(SENSOR.name, records(0, second * 1_000, many))
    assert store.is_large
    assert told(ask(store)) == []
    assert told(ask(store, None, ["d7"])) == [["d7", 1, 20.0]]
    assert len(shown(ask(store).common.devices)) == ALL_DETAIL_DEVICES + 1


def test_a_browser_that_holds_the_roster_is_told_places_instead_of_names() -> None:
    """In the roster's order; nothing at all where every device has some; names again while devices join."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["c", 1, 3.0], ["a", 1, 1.0], ["b", 1, 2.0]]))
    store.settle()
    assert ask(store).common.roster is None
    store.settle()
    first = ask(store)
    assert first.common.roster is not None
    assert orjson.loads(first.common.roster.names) == ["a", "b", "c"]
    store.append(SENSOR.name, records(0, 3, [["c", 2, 5.0], ["c", 3, 6.0], ["a", 3, 4.0]]))
    store.append(AVG_TEMP.name, records(0, 0, [["b", 10_000, 7.0]]))
    question = Question(first.common.cursor, None, (), first.common.roster.key)
    changes = store.changes(question, NOW_MS)
    assert (changes.common.roster, changes.common.devices.names, changes.common.devices.values.tolist()) == (
        None,
        None,
        [4.0, 6.0],
    )
    assert (
        changes.common.devices.places is not None and changes.common.devices.places.tolist(),
        changes.common.devices.previous,
    ) == (
        [0, 2],
        [(1, 5.0)],
    )
    assert (changes.averages.places is not None and changes.averages.places.tolist(), changes.averages.names) == (
        [1],
        None,
    )
    whole = store.changes(question._replace(cursor=None), NOW_MS).common.devices
    assert (whole.places, whole.values.tolist(), whole.previous) == (None, [4.0, 2.0, 6.0], [(0, 1.0), (2, 5.0)])
    store.append(SENSOR.name, records(0, 6, [["d", 3, 9.0]]))
    assert shown(store.changes(question._replace(cursor=changes.common.cursor), NOW_MS).common.devices) == [
        ["d", 3, 9.0]
    ]


@given(st.sets(st.text(max_size=3)), st.randoms())
def test_workers_that_know_the_same_devices_make_the_same_roster(ids: set[str], random: Random) -> None:
    """Whatever the order in which they met them."""
    known = sorted(ids - {""})
    met = random.sample(known, len(known))
    one, other = roster(known, 1), roster(["", *met], 7)
    assert (one.key, one.names, one.size) == (other.key, other.names, other.size)
    assert [known[place] for place in other.places[1:].tolist()] == met


def test_a_cursor_older_than_the_ring_gets_everything_anew() -> None:
    """What was dropped cannot be told; the page forgets and begins again."""
    store = started(ring_rows=5)
    cursor = ask(store).common.cursor
    store.append(SENSOR.name, records(0, 0, [["a", number, 20.0] for number in range(6)]))
    changes = ask(store, cursor)
    assert changes.common.reset
    assert [row[1] for row in seen(changes)] == [1, 2, 3, 4, 5]


def test_a_cursor_ahead_of_this_worker_waits_and_never_goes_back() -> None:
    """Another worker was faster: what the browser has must not come twice."""
    fast, slow = started(), started()
    batch = records(0, 0, [["a", 1, 20.0], ["a", 2, 21.0]])
    fast.append(SENSOR.name, batch)
    cursor = ask(fast).common.cursor
    assert (ask(slow, cursor).common.reset, seen(ask(slow, cursor)), ask(slow, cursor).common.cursor) == (
        False,
        [],
        cursor,
    )
    slow.append(SENSOR.name, batch)
    assert seen(ask(slow, cursor)) == []


_LOG = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.sampled_from("abc")), max_size=40)
#: (worker, partition, how many more records of it the worker reads), then (worker) is asked.
_STEPS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, PARTITIONS - 1), st.integers(0, 9)), max_size=40)


@given(_LOG, _STEPS)
def test_a_browser_between_two_workers_sees_every_reading_once(
    log: list[tuple[int, str]], steps: list[tuple[int, int, int]]
) -> None:
    """The workers read the partitions in different orders and at different speeds."""
    partitions: dict[int, list[list[Any]]] = {partition: [] for partition in range(PARTITIONS)}
    for number, (partition, device) in enumerate(log):
        partitions[partition].append([f"{device}{partition}", NOW_MS + number, float(number)])
    workers, read = (started(), started()), ([0] * PARTITIONS, [0] * PARTITIONS)
    told: list[Any] = []
    cursor: Cursor | None = None

    def step(worker: int, partition: int, count: int) -> None:
        nonlocal cursor
        first = read[worker][partition]
        batch = partitions[partition][first : first + count]
        read[worker][partition] += len(batch)
        workers[worker].append(SENSOR.name, records(partition, first, batch))
        changes = ask(workers[worker], cursor)
        assert changes.common.reset == (cursor is None)
        told.extend(seen(changes))
        cursor = changes.common.cursor

    for one in steps:
        step(*one)
    for worker in (0, 1):
        for partition in range(PARTITIONS):
            step(worker, partition, 100)
    assert sorted(told) == sorted(row for rows in partitions.values() for row in rows)


def test_a_record_read_again_after_a_fault_is_shown_once() -> None:
    """A consumer that is made anew goes on at the store's offsets, and repeats are left out all the same."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["a", 1, 20.0], ["a", 2, 21.0]]))
    assert store.begin(SENSOR.name, 0, 0) == 2
    store.append(SENSOR.name, records(0, 1, [["a", 2, 21.0], ["a", 3, 22.0]]))
    assert [row[1] for row in seen(ask(store))] == [1, 2, 3]


def test_new_topics_under_old_names_begin_anew() -> None:
    """Offsets of topics that were deleted mean nothing in their successors."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["a", 1, 20.0]]))
    store.clear("another epoch")
    changes = ask(store)
    assert (store.epoch, changes.common.reset, seen(changes), store.devices) == ("another epoch", True, [], 0)


def test_what_is_older_than_the_history_goes_and_a_silent_device_is_forgotten() -> None:
    """Memory follows the devices that are there; a number is not reused while a row of its device is held."""
    store = started()
    store.append(SENSOR.name, records(0, 0, [["old", 1, 20.0]], NOW_MS - HISTORY_MS - 1))
    store.append(AVG_TEMP.name, records(0, 0, [["old", 10_000, 20.0]], NOW_MS - HISTORY_MS - 1))
    store.append(SENSOR.name, records(0, 1, [["new", 2, 21.0]]))
    store.drop_old(NOW_MS)
    changes = ask(store)
    assert (store.devices, seen(changes), shown(changes.averages)) == (1, [["new", 2, 21.0]], [])
    store.append(SENSOR.name, records(0, 2, [["third", 3, 22.0]]))
    assert sorted(seen(ask(store))) == [["new", 2, 21.0], ["third", 3, 22.0]]


def test_a_hostile_sender_with_a_new_name_in_every_record_is_bounded() -> None:
    """Devices beyond the bound are left out and counted; their records are not asked for again."""
    store = started(max_devices=3)
    store.append(SENSOR.name, records(0, 0, [[f"d{number}", 1, 20.0] for number in range(5)]))
    changes = ask(store)
    assert (store.devices, store.refused_devices, len(seen(changes))) == (3, 2, 3)
    assert changes.common.cursor[SENSOR.name][0] == 5


def test_dead_letters_are_counted_within_the_history() -> None:
    """The strip says how many and how long ago."""
    store = started()
    store.append_dead_letters(records(0, 0, [["", 0, 0.0]], NOW_MS - HISTORY_MS - 1))
    store.append_dead_letters(records(0, 1, [["", 0, 0.0]] * 2, NOW_MS - 5))
    store.append_dead_letters(records(0, 2, [["", 0, 0.0]], NOW_MS - 5))
    assert store.dead_letters == 3
    store.drop_old(NOW_MS)
    assert (store.dead_letters, store.newest_append_ms()["dead-letter"]) == (2, NOW_MS - 5)


def test_a_ring_grows_while_others_may_read() -> None:
    """Of a large fleet it takes tens of ms to move what is held: the lock is free meanwhile, and all of it stays."""
    store = started(ring_rows=50_000)
    ring = store.read(lambda held, _epoch: held.rings[SENSOR.name])
    move, is_locked = ring._moved, []

    def watched(room: int) -> Any:
        is_locked.append(store._lock.locked())
        return move(room)

    ring._moved = watched  # type: ignore[method-assign]  # a look from outside
    for first in range(0, 60_000, 1_000):
        rows = [[f"d{number % 7}", NOW_MS + number, float(number)] for number in range(first, first + 1_000)]
        store.append(SENSOR.name, records(0, first, rows))
    assert (set(is_locked), len(is_locked) > 3) == ({False}, True)
    wrong: list[str] = []
    assert (_numbers(ask(store), wrong), wrong) == (list(range(10_000, 60_000)), [])
    assert (ring._prepared, ring._old) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize("ring_rows", [50_000, 700])
def test_32_readers_of_a_store_being_written_see_no_torn_row_gap_or_repeat(ring_rows: int) -> None:
    """With a ring that holds all and with one that laps its readers, who then begin anew."""
    _write_while_32_read(ring_rows, batch=50)


@pytest.mark.slow
def test_so_they_do_while_20_000_readings_come_in_a_second() -> None:
    """In batches as a consumer thread has them; of a few tries, for other work may hold up one."""
    rates_hz: list[float] = []
    while max(rates_hz, default=0) < 20_000:
        assert len(rates_hz) < 4, rates_hz
        rates_hz.append(_write_while_32_read(50_000, batch=500))


def _write_while_32_read(ring_rows: int, batch: int) -> float:
    """Write 20,000 readings; return how many a second. Each reader must have seen each of the held ones once."""
    store, rows = started(ring_rows), 20_000
    stop = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        cursor: Cursor | None = None
        told: list[Changes] = []
        is_last = False
        while not is_last:
            is_last = stop.is_set()
            changes = ask(store, cursor)
            if changes.common.cursor != cursor:
                told.append(changes)  # looked at when the writer is done, whom that would hold up
            cursor = changes.common.cursor
        numbers: list[int] = []
        for changes in told:
            numbers = [] if changes.common.reset else numbers
            numbers.extend(_numbers(changes, wrong))
        if numbers != list(range(numbers[0], rows)):
            wrong.append(f"{len(numbers)} numbers from {numbers[0]} to {numbers[-1]}")

    readers = [threading.Thread(target=read) for _ in range(32)]
    batches = [
        records(0, first, [[f"d{n % 7}", NOW_MS + n, float(n)] for n in range(first, first + batch)])
        for first in range(0, rows, batch)
    ]
    for reader in readers:
        reader.start()
    began_s = time.monotonic()
    for some in batches:
        store.append(SENSOR.name, some)
    took_s = time.monotonic() - began_s
    stop.set()
    for reader in readers:
        reader.join(60)
    assert wrong == []
    return rows / took_s


def _numbers(changes: Changes, wrong: list[str]) -> list[int]:
    """Return the numbers of the readings; a row whose columns do not belong together is wrong."""
    found = []
    for device, time_ms, value in sorted(seen(changes), key=lambda row: row[2]):
        found.append(int(value))
        if (device, time_ms) != (f"d{int(value) % 7}", NOW_MS + int(value)):
            wrong.append(f"{device} {time_ms} {value}")
    return found


def test_statistics_say_how_full_each_ring_is() -> None:
    """Held, capacity, dropped and the newest append time."""
    store = started(ring_rows=3)
    store.append(SENSOR.name, records(0, 0, [["a", number, 20.0] for number in range(5)]))
    sensor = store.statistics()[SENSOR.name]
    assert (sensor.held, sensor.capacity, sensor.dropped, sensor.newest_append_ms) == (3, 3, 2, NOW_MS)
    ages: Mapping[str, int | None] = store.newest_append_ms()
    assert (ages[SENSOR.name], ages[ALERT.name]) == (NOW_MS, None)
