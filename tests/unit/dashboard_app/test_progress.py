"""How far each partition has been read, by a clock that the tests move."""

from dashboard_app.assignment import Place
from dashboard_app.progress import Progress

A, B = Place("sensor", 0), Place("sensor", 1)
BOTH = frozenset({A, B})


def test_the_history_is_read_when_every_place_was_read_to_its_end_once() -> None:
    """Until then all that waits counts."""
    progress = Progress()
    progress.note(A, 10, 100.0, is_live=True)
    progress.note(B, 5, 100.0, is_live=False)
    assert progress.silent(BOTH, 100.5) == [B]
    assert progress.left(BOTH, {B: 25}, 100.5, was_caught_up=False) == (False, 20)
    progress.note(B, 25, 101.0, is_live=True)
    assert progress.silent(BOTH, 101.0) == []
    assert progress.left(BOTH, {}, 101.0, was_caught_up=False) == (True, 0)


def test_without_a_place_nothing_is_read_yet() -> None:
    """There may be topics in a moment."""
    assert Progress().left(frozenset(), {}, 100.0, was_caught_up=False) == (False, 0)


def test_only_a_place_that_gives_old_records_for_a_while_is_behind_later() -> None:
    """At a quiet one's end stand transaction markers, which nobody ever reads."""
    progress = Progress()
    for place in BOTH:
        progress.note(place, 10, 100.0, is_live=True)
    ends = {A: 12, B: 1_000}
    progress.note(B, 500, 110.0, is_live=False)
    assert progress.left(BOTH, ends, 110.0, was_caught_up=True) == (True, 0)
    progress.note(B, 600, 112.0, is_live=False)
    assert progress.left(BOTH, ends, 112.0, was_caught_up=True) == (True, 400)
    assert progress.left(BOTH, {A: 12}, 113.0, was_caught_up=True) == (True, 0)


def test_when_anything_last_came_is_known() -> None:
    """Silence may be an outage."""
    progress = Progress()
    progress.note(A, 1, 100.0, is_live=True)
    progress.note(B, 1, 103.0, is_live=False)
    assert progress.came_s == 103.0
