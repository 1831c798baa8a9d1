"""After a kill the page looks first at the batches that it is to read.

A batch of a few MB can be gigabytes when it is decompressed. librdkafka takes the memory for it, and the system kills
the worker, and the next one. So that one has another client fetch what is stored, and begins behind what is too large.
For the consumer thread, which is not kept for longer than the feed's watch allows.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from dashboard_app import running
from dashboard_app.assignment import Place
from sensorbus.contract.errors import BrokerUnavailableError, SettingsError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import BY_NAME

if TYPE_CHECKING:
    from sensorbus.runtime.stored_batches import Fetched

    Fetch = Callable[[str, int, int], Fetched]

#: For all partitions; one answer may take 5 s more. After 60 s without a poll the worker would end itself.
_LOOKS_FOR_S: Final = 20.0

_LEFT_OUT: Final = (
    "after a kill %s[%d]@%d to %d is left out, for it is too large without its compression; "
    "what is older in that partition is not shown"
)

_log = logging.getLogger(__name__)


def behind_large(settings: Settings, first: Mapping[Place, int]) -> Mapping[Place, int]:
    """Return the offsets where to begin, which are the given ones unless a worker was killed.

    The embedded broker is not asked: the other client does not speak to it.
    """
    if not first or not running.is_after_kill() or settings.embedded_broker:
        return first
    from sensorbus.runtime.raw_consumer import RawConsumer  # noqa: PLC0415  # half a second of CPU

    try:
        raw = RawConsumer(settings)
    except SettingsError as error:
        _log.warning("a worker was killed, and the page reads as always: %s", error)
        return first
    with contextlib.closing(raw):
        return _looked_at(settings, raw.fetch, first)


def _looked_at(settings: Settings, fetch: "Fetch", first: Mapping[Place, int]) -> dict[Place, int]:
    from sensorbus.runtime.stored_batches import BatchError  # noqa: PLC0415  # with what it imports

    begin, until_s = dict(first), time.monotonic() + _LOOKS_FOR_S
    for place, offset in first.items():
        name = settings.topic_name(BY_NAME[place.topic])
        last: tuple[int, int] | None = None
        error: Exception | None = None
        try:
            for last in _large(partial(fetch, name, place.partition), offset, until_s):
                begin[place] = last[1] + 1
        except (BrokerUnavailableError, BatchError) as caught:
            error = caught
        if last is not None:
            _log.warning(_LEFT_OUT, name, place.partition, *last)
        if error is not None:
            _log.warning(
                "a worker was killed, and from %s[%d] on the page reads as always: %s", name, place.partition, error
            )
            break
    return begin


def _large(fetch: Callable[[int], "Fetched"], offset: int, until_s: float) -> Iterator[tuple[int, int]]:
    """Yield the first and the last offset of what is too large for one answer, up to the end of a partition.

    The bound of one batch is that of an answer of 1 MB too: readings are 30 times as large as compressed at most.
    """
    from sensorbus.runtime import stored_batches  # noqa: PLC0415  # the same

    while found := list(stored_batches.batches(fetch(offset).stored)):
        for last in stored_batches.passing(found, stored_batches.LARGEST_BYTES):
            yield offset, last.last
            offset = last.last + 1
            _check_time(until_s)
        offset = found[-1].last + 1
        _check_time(until_s)


def _check_time(until_s: float) -> None:
    if time.monotonic() > until_s:
        raise BrokerUnavailableError(f"it took more than {_LOOKS_FOR_S:.0f} s to look at what is stored")
