"""Logging: one event per line, repeats folded, nothing hostile.

Text for people or JSON for machines. Control characters of any message are escaped, so that a device
name can neither break a line nor colour a terminal. Called once per process, before the first thread.
"""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

from sensorbus.contract.emoji import joiner_places
from sensorbus.contract.settings import Settings

FOLD_INTERVAL_S: Final = 10.0
_log = logging.getLogger(__name__)
_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "fold",
    "folded",
    "fold_by",
}
#: Where something stands. For machines: the message has it in words.
_PLACE_FIELDS: Final = frozenset({"device", "topic", "partition", "offset"})
#: How confluent-kafka logs each line of librdkafka's: kind (FAIL, GETPID), client, text.
_RDKAFKA_LINE: Final = "%s [%s] %s"
#: librdkafka 2.10 hides all secrets when its option `debug` lists what is set, but for that of OAuth's client.
_SECRET_OPTION: Final = re.compile(r"(\.secret = ).+", re.DOTALL)
# What `str.isprintable` refuses (control, format and surrogate characters) is escaped; a space is printable.


def configure(settings: Settings, part: str) -> None:
    """Send all log records of this process to stderr, as lines that begin with the part's name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(part) if settings.log_format == "json" else TextFormatter(part))
    handler.addFilter(FoldRepeats())
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # Quix says at INFO how it is configured and what each rebalance does, librdkafka how each connection fares, and
    # authlib at DEBUG what only a browser's own session may know.
    for chatty in ("quixstreams", "rdkafka", "werkzeug", "authlib"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
    if settings.log_level == "DEBUG":  # then librdkafka says what its option `debug` asks for, every client's alike
        logging.getLogger("rdkafka").setLevel(logging.DEBUG)
    logging.getLogger("rdkafka.silent").setLevel("NOTSET" if settings.log_level == "DEBUG" else "CRITICAL")


def say_uncaught() -> None:
    """Have what nobody catches, in any thread of this process, said as an event like all others."""

    def ends(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):  # Ctrl-C before we listen for it
            sys.__excepthook__(kind, error, traceback)
        else:
            _log.critical("ended by an error that nobody expected", exc_info=(kind, error, traceback))

    def ends_thread(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and ended.exc_type is not SystemExit:
            name = ended.thread.name if ended.thread else "unknown"
            said = (ended.exc_type, ended.exc_value, ended.exc_traceback)
            _log.critical("thread %s ended by an error that nobody expected", name, exc_info=said)

    sys.excepthook, threading.excepthook = ends, ends_thread


def escape(text: str) -> str:
    """Return the text with everything unprintable (newlines, ANSI, bidi marks) escaped; a joined emoji stays one."""
    if text.isprintable():
        return text
    joiners = joiner_places(text)
    return "".join(
        c if c.isprintable() or place in joiners else c.encode("unicode_escape", "backslashreplace").decode()
        for place, c in enumerate(text)
    )


class TextFormatter(logging.Formatter):
    """`12:00:00.250 WARNING alert: message | field=value` with the time in UTC; of a place, the words are enough."""

    def __init__(self, part: str) -> None:
        """Name the part that speaks."""
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows it, escaped line by line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items() if name not in _PLACE_FIELDS)
        line = (
            f"{moment:%H:%M:%S}.{int(record.msecs):03d} {record.levelname:<7} {self._part}: {escape(_message(record))}"
        )
        line += f" |{escape(fields)}" if fields else ""
        if record.exc_info:
            line += "\n" + "\n".join(escape(row) for row in self.formatException(record.exc_info).splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, part, message, fields, traceback."""

    def __init__(self, part: str) -> None:
        """Name the part that speaks."""
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event: dict[str, object] = {
            **_fields(record),  # first: a field may not stand for ours
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "part": self._part,
            "message": _message(record),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


class FoldRepeats(logging.Filter):
    """Lets the same event of a logger through once per interval and says how many were held back.

    Events are the same whatever values they tell of, but for what a record says that it is folded by.
    """

    def __init__(self, interval_s: float = FOLD_INTERVAL_S, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Fold WARNING and above; INFO is rare by design and DEBUG is asked for. `clock_s` never runs back."""
        super().__init__()
        self._interval_s = interval_s
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # -> (time of the last line, held back since)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record becomes a line."""
        if record.levelno < logging.WARNING or not getattr(record, "fold", True):  # `extra={"fold": False}`
            return True
        key = (record.name, f"{_event(record)} {getattr(record, 'fold_by', '')}")  # `extra={"fold_by": address}`
        now_s = self._clock_s()
        with self._lock:
            last_s, held_back = self._seen.get(key, (-self._interval_s, 0))
            if now_s - last_s < self._interval_s:
                self._seen[key] = (last_s, held_back + 1)
                return False
            if len(self._seen) > 1000:  # noqa: PLR2004  # messages that embed a value must not grow this for ever
                self._seen.clear()
            self._seen[key] = (now_s, 0)
        record.folded = held_back
        return True


def _event(record: logging.LogRecord) -> str:
    """Return what tells a logger's events apart: the text before values, of librdkafka's lines the kind."""
    if record.msg == _RDKAFKA_LINE and isinstance(record.args, tuple):
        return f"{_RDKAFKA_LINE} {record.args[0]}"
    return str(record.msg)


def _message(record: logging.LogRecord) -> str:
    held_back = getattr(record, "folded", 0)
    suffix = f" (and {held_back} more like it)" if held_back else ""
    said = record.getMessage()
    if record.msg == _RDKAFKA_LINE:
        said = _SECRET_OPTION.sub(r"\1[redacted]", said)
    return said + suffix


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
