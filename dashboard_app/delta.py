"""What a tick answers: all that is new since a browser's cursor.

As JSON (docs/tick.md).
Called from request threads. Nearly all of it was encoded by the writer when it came; here it is put together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from dashboard_app.changes import Changes, Columns, Common, Cursor, Question
from dashboard_app.choice import Choice, bits_in
from dashboard_app.devices import MAX_DEVICES
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.past import History
from dashboard_app.ring import Floats, Integers

#: The answer's format; a page of another one loads itself anew.
VERSION: Final = 7
_MAX_DETAIL: Final = 200
_MAX_HISTORY: Final = 50
_MAX_CURSOR_CHARACTERS: Final = 100_000
_MAX_OFFSET: Final = 2**63 - 1

#: How Kafka is, as the answer's field `pipeline` says it.
Pipeline = Mapping[str, Any]


def question_in(body: object, epoch: str) -> Question:
    """Return the question in whatever a browser sent; what makes no sense asks for everything."""
    fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
    detail = fields.get("detail")
    return Question(
        cursor_in(fields.get("cursor"), epoch),
        _names(detail, _MAX_DETAIL) if isinstance(detail, list) else None,
        _names(fields.get("history"), _MAX_HISTORY),
        held if isinstance(held := fields.get("roster"), str) else "",
        overview_ms if isinstance(overview_ms := fields.get("overview"), int) else 0,
        turn if type(turn := fields.get("turn")) is int and 0 <= turn < MAX_DEVICES else None,
        _choice_in(fields.get("chosen")),
    )


def cursor_text(cursor: Cursor, epoch: str) -> str:
    """Return a cursor as text: the epoch, then the next offsets by topic and partition."""
    return orjson.dumps([epoch, [list(cursor[topic].items()) for topic in CURSOR_TOPICS]]).decode()


def cursor_in(text: object, epoch: str) -> Cursor | None:
    """Return the cursor in a text; None when it is none, or of another cluster or other topics."""
    if not isinstance(text, str) or len(text) > _MAX_CURSOR_CHARACTERS:
        return None
    try:
        told_epoch, topics = orjson.loads(text)
        cursor = {
            topic: {_offset(partition): _offset(offset) for partition, offset in pairs}
            for topic, pairs in zip(CURSOR_TOPICS, topics, strict=True)
        }
    except (ValueError, TypeError):
        return None
    return cursor if told_epoch == epoch else None


def epoch_in(body: object, epoch: str) -> str | None:
    """Return the epoch of a readable cursor that is not of `epoch`; None when there is no such cursor."""
    text = body.get("cursor") if isinstance(body, dict) else None
    if not isinstance(text, str) or len(text) > _MAX_CURSOR_CHARACTERS:
        return None
    try:
        told = orjson.loads(text)[0]
    except (ValueError, TypeError, LookupError):
        return None
    is_other = isinstance(told, str) and told != epoch and cursor_in(text, told) is not None
    return told if is_other else None


def first_part(
    common: Common, cursor: str, fleet: orjson.Fragment, overview: orjson.Fragment | None, pipeline: Pipeline
) -> bytes:
    """Return the begin of an answer (JSON in UTF-8), which browsers of one cursor and roster have in common."""
    previous = _told({"previous": common.devices.previous})
    counts = common.counts.values.astype(np.int64)
    told = {
        "reset": common.reset,
        "roster": common.roster and [common.roster.key, orjson.Fragment(common.roster.names)],
        "alerts": len(common.alerts.values) and _degrees(common.alerts, common.now_ms),
        "counts": len(counts) and _columns(common.counts, common.now_ms, {"count": counts}),
        "overview": overview,
        "new": common.new,
    }
    return _dumps(
        {
            "v": VERSION,
            "now": common.now_ms,
            "cursor": cursor,
            "devices": _degrees(common.devices, common.now_ms) | previous,
            **_told(told),
            "fleet": fleet,
            "pipeline": _pipeline(pipeline),
        }
    )[:-1]


def last_part(changes: Changes, chosen: int | None = None, overview: orjson.Fragment | None = None) -> bytes:
    """Return what follows the first part: what a browser's own question asks for; `chosen`: see docs/tick.md."""
    told = {
        "skipped": changes.skipped,
        "history": len(changes.history.names) and _by_device(changes.history, changes.common.now_ms),
        "readings": changes.readings and _array(changes.readings),
    }
    return (
        b",%b"
        % _dumps(
            {
                "averages": _degrees(changes.averages, changes.common.now_ms),
                **_told(told),
                **({} if chosen is None else {"chosen": chosen} | _told({"overview": overview})),
            }
        )[1:]
    )


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something: a page takes what is left out for false, 0, null or empty."""
    return {name: value for name, value in fields.items() if value}


def _pipeline(pipeline: Pipeline) -> Pipeline:
    kafka = None if pipeline["kafka"]["ok"] else pipeline["kafka"]
    return {**_told({**pipeline, "kafka": kafka}), "topics": list(pipeline["topics"].values())}


def _dumps(fields: Mapping[str, Any]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)


def _degrees(columns: Columns, now_ms: int) -> dict[str, Any]:
    """Return temperatures by device as whole numbers above the lowest, where a browser makes the same ones of them."""
    hundredths = _hundredths(columns.values)
    if hundredths is None:
        return _columns(columns, now_ms, {"celsius": columns.values})
    lowest = int(hundredths.min()) if len(hundredths) else 0
    return _columns(columns, now_ms, {"lowest": lowest, "hundredths": hundredths - lowest})


def _hundredths(celsius: Floats) -> Integers | None:
    """Return whole hundredths of degrees, of which a hundredth each is the very same number; else None."""
    hundredths = np.rint(celsius * 100)
    return hundredths.astype(np.int64) if np.array_equal(hundredths / 100, celsius) else None


def _by_device(history: History, now_ms: int) -> dict[str, Any]:
    """Return readings as what each differs in from the one before: of one device little, which compresses well."""
    hundredths = _hundredths(history.values)
    values = {"celsius": history.values} if hundredths is None else {"hundredths": np.diff(hundredths, prepend=0)}
    steps_ms = np.diff(history.times_ms, prepend=now_ms)
    return {"id": _array(history.names), "readings": history.numbers, "ms": steps_ms, **values}


def _columns(columns: Columns, now_ms: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as the answer has them: ages and steps are small numbers, which compress better than times do."""
    told = {"age_ms": now_ms - columns.times_ms, **values}
    if columns.names is not None:
        return {"id": _array(columns.names), **told}
    return told if columns.places is None else {"steps": np.diff(columns.places, prepend=0), **told}


def _array(fragments: Sequence[bytes]) -> orjson.Fragment:
    return orjson.Fragment(b"[%b]" % b",".join(fragments))


def _offset(number: object) -> int:
    if type(number) is not int or not 0 <= number <= _MAX_OFFSET:
        raise ValueError(number)
    return number


def _choice_in(value: object) -> Choice | None:
    number, text = value if isinstance(value, list) and len(value) == 2 else (None, None)  # noqa: PLR2004  # a pair
    bits = bits_in(text)
    return Choice(number, bits) if type(number) is int and 0 <= number <= _MAX_OFFSET and bits is not None else None


def _names(value: object, at_most: int) -> list[str]:
    return [name for name in value[:at_most] if isinstance(name, str)] if isinstance(value, list) else []
