"""The judges of the faults see what went wrong with a copy, a letter, an order.

No job runs: the test writes what `alert` would have, or what a broken one would.
"""

from collections import Counter
from collections.abc import Sequence

import orjson
import pytest

from sensorbus.contract.messages import Alert, AvgTemp, encode_alert, encode_avg_temp, encode_reading
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, AVG_TEMP, DEAD_LETTER, SENSOR
from tests.support.faults.verdict import Verdict, judge
from tests.support.faults.witness import FOREIGN, GOOD, Witness, is_bad
from tests.support.topics import Record, produce, read_all
from tests.support.verifier import Expected, differences, expected_from_readings

VALUE = encode_reading("a", "2026-01-31T12:00:00Z", 20.0)
ANOTHER = encode_reading("a", "2026-01-31T12:00:00Z", 21.0)


def judged(settings: Settings, copies: Sequence[bytes], of: str = FOREIGN, key: bytes = b"a") -> Verdict:
    """Return the verdict on one reading under its key, one under a foreign key, and these copies of one of them."""
    witness = Witness(settings, 1)
    witness.write(b"a", VALUE, GOOD)
    witness.write(b"other", VALUE, FOREIGN)
    witness.finish()
    source = next(m for m in read_all(settings, SENSOR) if dict(m.headers())["witness.label"] == of.encode())
    place = f"{source.topic()}[{source.partition()}]@{source.offset()}"
    headers = [*source.headers(), ("rekeyed.from", place.encode())]
    produce(settings, SENSOR, [Record(key, value, headers) for value in copies])
    return judge(settings, witness)


def of_copies(verdict: Verdict) -> list[str]:
    """Return what is said of copies."""
    return [problem for problem in verdict.problems if problem.startswith("copies:")]


def test_one_copy_is_right(fresh_settings: Settings) -> None:
    """The reading stands there once under a foreign key and once under its own: no problem at all."""
    assert judged(fresh_settings, [VALUE]).problems == []


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ([], "1 missing, 0 wrong, 0 repeated"),
        ([VALUE, VALUE], "0 missing, 0 wrong, 1 repeated"),
        ([VALUE, VALUE, VALUE], "0 missing, 0 wrong, 2 repeated"),
        ([ANOTHER], "0 missing, 1 wrong, 0 repeated"),
    ],
    ids=["none", "two", "three", "another"],
)
def test_exactly_once_is_one_copy(fresh_settings: Settings, copies: list[bytes], said: str) -> None:
    """None, several, or one with other bytes: each is said."""
    assert of_copies(judged(fresh_settings, copies)) == [f"copies: {said}"]


def test_a_copy_of_a_reading_under_its_own_key_is_wrong(fresh_settings: Settings) -> None:
    """Nothing was to be sent again of it, so it counts twice."""
    assert of_copies(judged(fresh_settings, [VALUE], of=GOOD)) == ["copies: 1 missing, 1 wrong, 0 repeated"]


def test_a_copy_under_a_foreign_key_is_wrong(fresh_settings: Settings) -> None:
    """It would be no reading to the jobs, nor to who recomputes their results."""
    verdict = judged(fresh_settings, [VALUE], key=b"third")
    assert of_copies(verdict) == verdict.problems == ["copies: 0 missing, 1 wrong, 0 repeated"]


@pytest.mark.parametrize(("copies", "problems"), [(1, 0), (2, 0), (0, 1)])
def test_at_least_once_is_one_copy_or_more(fresh_settings: Settings, copies: int, problems: int) -> None:
    """A second is allowed, none is not."""
    settings = fresh_settings.model_copy(update={"processing_guarantee": "at-least-once"})
    assert len(of_copies(judged(settings, [VALUE] * copies))) == problems


@pytest.mark.parametrize(
    ("letters", "kind", "said"),
    [
        ([b"{"], b"not-json", []),
        ([], b"not-json", ["1 missing, 0 wrong, 0 repeated"]),
        ([b"{", b"{"], b"not-json", ["0 missing, 0 wrong, 1 repeated"]),
        ([b"["], b"not-json", ["0 missing, 1 wrong, 0 repeated"]),
        ([b"{"], b"clock-ahead", ["0 missing, 1 wrong, 0 repeated"]),
    ],
    ids=["one", "none", "two", "other-bytes", "another-kind"],
)
def test_a_bad_alert_is_one_dead_letter(
    fresh_settings: Settings, letters: list[bytes], kind: bytes, said: list[str]
) -> None:
    """The same bytes, under the kind that the witness says; it is no alert, and a letter of it none of `sensor`."""
    witness = Witness(fresh_settings, 1)
    witness.write(b"a", b"{", "not-json", ALERT)
    witness.finish()
    (source,) = read_all(fresh_settings, ALERT)
    place = {"topic": source.topic(), "partition": source.partition(), "offset": source.offset()}
    headers = [(f"source.{name}", str(value).encode()) for name, value in place.items()]
    headers += [*source.headers(), ("error.kind", kind)]
    produce(fresh_settings, DEAD_LETTER, [Record(b"a", value, headers) for value in letters])
    assert judge(fresh_settings, witness).problems == [f"letters of alert: {problem}" for problem in said]


#: Three alerts of one device, and two of its means, as a job writes them.
HOT = [encode_reading("a", f"2026-01-31T12:00:{second:02d}Z", 40.0) for second in (0, 9, 21)]
ALERTS = [encode_alert(Alert("a", reading["timestamp"], 0, 40.0, 104.0, 313.15)) for reading in map(orjson.loads, HOT)]
MEANS = [encode_avg_temp(AvgTemp("a", start_ms, start_ms + 10_000, 40.0)) for start_ms in (0, 1_000)]
SWAPPED, REPEATED = (1, 0, 2), (0, 1, 0, 1, 2)
ORDERS = pytest.mark.parametrize(
    ("guarantee", "order", "is_right"),
    [
        ("exactly-once", (0, 1, 2), True),
        ("exactly-once", SWAPPED, False),
        ("at-least-once", REPEATED, True),
        ("at-least-once", SWAPPED, False),
    ],
)


@ORDERS
def test_the_alerts_of_a_device_are_in_the_order_of_its_readings(
    guarantee: str, order: Sequence[int], is_right: bool, fresh_settings: Settings
) -> None:
    """For the judge of the plans; of what may be repeated the first counts."""
    settings = fresh_settings.model_copy(update={"processing_guarantee": guarantee})
    witness = Witness(settings, 1)
    for value in HOT:
        witness.write(b"a", value, GOOD)
    witness.finish()
    produce(settings, ALERT, [Record(b"a", ALERTS[number]) for number in order])
    produce(settings, AVG_TEMP, [Record(b"a", value) for value in MEANS])
    said = [problem for problem in judge(settings, witness).problems if problem.startswith("devices in order")]
    assert said == ([] if is_right else ["devices in order: 0 missing, 1 wrong, 0 repeated"])


@ORDERS
def test_the_verifier_judges_the_order_too(guarantee: str, order: Sequence[int], is_right: bool) -> None:
    """That of alerts and of means, by device; which records are there is right each time."""
    once = guarantee == "exactly-once"
    expected = expected_from_readings(HOT)
    wrong = differences(expected, [ALERTS[number] for number in order], [], [], once=once)
    assert [line for line in wrong if line.startswith("alerts")] == ([] if is_right else [_swapped_alerts()])
    means = [MEANS[number] for number in order if number < len(MEANS)]
    told = Expected(means={("a", 0): 40.0, ("a", 1_000): 40.0})
    assert differences(told, [], [], means, once=once) == ([] if is_right else ["means of a come as [1000, 0]"])


def _swapped_alerts() -> str:
    return f"alerts of a come as {[orjson.loads(ALERTS[number])['timestamp'] for number in SWAPPED]}"


def test_the_witness_writes_each_large_bad_value_three_times_on_both_topics(real_settings: Settings) -> None:
    """100,000 brackets, 1 MB and 5 MB of text, in turn, under devices' keys; then no more, however many faults come."""
    witness = Witness(real_settings, 1)
    for _ in range(20):
        witness.large()
    witness.finish()
    for topic in (SENSOR, ALERT):
        found = read_all(real_settings, topic)
        assert Counter(len(m.value() or b"") for m in found) == {100_000: 3, 1_000_000: 3, 5_000_000: 3}
        assert all(is_bad(m) and (m.key() or b"").startswith(b"witness-") for m in found)
