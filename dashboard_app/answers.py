"""The bytes that ticks are answered with.

What several browsers are told is made and compressed once: those at the same place of the topics ask the same, so most
ticks of many browsers are answered with bytes that are there already. Called from request threads.
"""

import hashlib
import zlib
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar, cast

import orjson

from dashboard_app import ids
from dashboard_app.bands import SETTLED_MS
from dashboard_app.changes import Changes, Common
from dashboard_app.choice import devices_in
from dashboard_app.compression import QUICK_LEVEL
from dashboard_app.delta import cursor_text, epoch_in, first_part, last_part, question_in
from dashboard_app.feed import Feed
from dashboard_app.overview import Newest
from sensorbus.runtime.clock import ClockMs

_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
# What Dash answers for a callback of one output, before and after its value's text.
_HEAD: Final = b'{"multi":true,"response":{"%b":{"data":"' % ids.DELTA.encode()
_TAIL: Final = b'"}}}'

T = TypeVar("T")


class Once:
    """Makes each thing once, whoever asks for it, as long as the moment stays the same."""

    def __init__(self) -> None:
        """Have made nothing."""
        self._made: tuple[Hashable, dict[Hashable, Future[Any]]] = (None, {})

    def get(self, moment: Hashable, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` makes, or has made for the same key; raises what it raises."""
        of, made = self._made
        if of != moment:
            made = {}
            self._made = (moment, made)  # of two threads that do so, one makes for itself alone
        future: Future[T] = Future()
        found = made.setdefault(key, future)
        if found is future:
            try:
                future.set_result(make())
            except BaseException as error:
                del made[key]
                future.set_exception(error)
                raise
        return cast("T", found.result())


class _Answer(NamedTuple):
    """What is new, the cursor of the next request, the fleet, its bands as far as they are wanted.

    Of a choice of devices its number and bands are told instead; None: they are not there yet.
    """

    changes: Changes
    cursor: str
    fleet: Newest
    bands: orjson.Fragment | None = None
    chosen: int | None = None
    chosen_bands: orjson.Fragment | None = None

    @property
    def last_part(self) -> bytes:
        return last_part(self.changes, self.chosen, self.chosen_bands)


class _Begun(NamedTuple):
    """The begin of an answer, compressed, and the state of the compressor behind it."""

    packed: bytes
    compressor: Any


class Answers:
    """A worker's answers."""

    def __init__(self, feed: Feed, now_ms: ClockMs) -> None:
        """Answer out of what the feed holds."""
        self._feed, self._now_ms = feed, now_ms
        self._whole, self._begun = Once(), Once()

    def text(self, body: Any) -> str:
        """Return the value of the callback's output: JSON as docs/tick.md has it."""
        self._feed.start()
        answer = self._changes(body, self._now_ms())
        return (self._first_part(answer) + answer.last_part).decode()

    def response(self, body: Any, *, is_packed: bool) -> bytes:
        """Return what Dash would send for that value, as gzip if wanted."""
        self._feed.start()  # gunicorn's hook has done it; under another server the first tick does
        now_ms = self._now_ms()
        moment = self._feed.store.moment(now_ms)
        key = (is_packed, hashlib.blake2b(orjson.dumps(body), digest_size=16).digest())  # short, whatever was sent

        def make() -> bytes:
            answer = self._changes(body, now_ms)
            return self._packed(answer, moment) if is_packed else self._plain(answer)

        return self._whole.get(moment, key, make)

    def _plain(self, answer: "_Answer") -> bytes:
        return _HEAD + _escaped(self._first_part(answer)) + _escaped(answer.last_part) + _TAIL

    def _packed(self, answer: "_Answer", moment: Hashable) -> bytes:
        key = (answer.changes.common, answer.fleet, id(answer.bands))  # the fleet holds them
        begun = self._begun.get(moment, key, lambda: _begin(self._first_part(answer)))
        compressor = begun.compressor.copy()
        rest: bytes = compressor.compress(_escaped(answer.last_part) + _TAIL) + compressor.flush()
        return begun.packed + rest

    def _changes(self, body: Any, now_ms: int) -> "_Answer":
        epoch, fleet = self._feed.store.epoch, self._feed.overview.newest
        other = epoch_in(body, epoch)
        if other is not None and not self._feed.can_judge(other):
            # Another worker may have seen new topics first: ours may be the old ones, which must not come back.
            return _Answer(Changes(Common(now_ms=now_ms)), body["cursor"], fleet, fleet.bands)
        question = question_in(body, epoch)
        changes = self._feed.store.changes(question, now_ms)
        cursor, common = cursor_text(changes.common.cursor, epoch), changes.common
        followed_ms = -1 if common.reset else question.overview_ms - SETTLED_MS
        if question.chosen and common.known:
            devices = devices_in(question.chosen.bits, common.known)
            has_room, told = self._feed.overview.choices.told(devices, now_ms)
            if has_room:
                bands = told and (told.recent if told.recent_ms <= followed_ms else told.bands)
                return _Answer(changes, cursor, fleet, None, question.chosen.number, bands)
        return _Answer(changes, cursor, fleet, fleet.recent if fleet.recent_ms <= followed_ms else fleet.bands)

    def _first_part(self, answer: "_Answer") -> bytes:
        common, fleet = answer.changes.common, answer.fleet
        return first_part(common, answer.cursor, fleet.fleet, answer.bands, self._feed.pipeline(common.now_ms))


def _begin(first: bytes) -> _Begun:
    compressor = zlib.compressobj(QUICK_LEVEL, zlib.DEFLATED, _GZIP_BITS)
    packed = compressor.compress(_HEAD + _escaped(first)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return _Begun(packed, compressor)


def _escaped(text: bytes) -> bytes:
    """Return a text as it stands within a JSON string."""
    return orjson.dumps(text.decode())[1:-1]
