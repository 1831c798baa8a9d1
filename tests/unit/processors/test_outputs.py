"""Tests of what leaves a job's chain."""

from typing import Any

import pytest

from processors.outputs import Output, write
from tests.support.job_parts import Frame


@pytest.fixture
def frame() -> Any:
    """Give an empty dataframe; `Any`, because it is not Quix's."""
    return Frame()


def test_every_output_is_produced_as_it_is(frame: Any) -> None:
    """Topic, key, value and headers, null and empty ones too, at the reading's append time; each is counted."""
    counted: list[str] = []
    outputs = [Output("alert", b"k", b"v"), Output("dead-letter", None, None, (("a", None), ("a", b"")))]
    write(frame, lambda *_: outputs, counted.append, stateful=False)
    frame.run(b"in", b"key", 1_234, None)
    assert frame.produced == [
        ("alert", b"v", b"k", None, 1_234),
        ("dead-letter", None, None, [("a", None), ("a", b"")], 1_234),
    ]
    assert counted == ["alert", "dead-letter"]


@pytest.mark.parametrize("stateful", [True, False])
def test_the_step_gets_the_record_and_the_state(stateful: bool, frame: Any) -> None:
    """Value, key, time and headers as Quix hands them over, and the state where there is one."""
    seen: list[tuple[Any, ...]] = []
    write(frame, lambda *record: seen.append(record) or (), lambda _: None, stateful=stateful)  # type: ignore[func-returns-value]  # append gives None
    state = ("state",) if stateful else ()
    frame.run(b"in", b"key", 5, [("h", b"1")], *state)
    assert seen == [(b"in", b"key", 5, [("h", b"1")], *(state or (None,)))]
    assert frame.how == {"metadata": True, "stateful": stateful}
