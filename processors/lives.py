"""Knows whether the last life of a job was killed.

Then it reads with care what waits for it (careful.py).
"""

import contextlib
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import TopicManager

from sensorbus.contract.errors import SettingsError
from sensorbus.contract.settings import Settings

if TYPE_CHECKING:
    from processors.careful import CarefulReader

#: Has a consumer read with care, from now on; the last tells whether the state of an assignment is to be recovered.
ReadWithCare = Callable[[InternalConsumer, TopicManager, Callable[[], bool]], "CarefulReader"]

_FILE: Final = "alive"

_log = logging.getLogger(__name__)


class Life:
    """One life of a job: an orderly end takes away a file beside its state, a kill leaves it."""

    def __init__(self, settings: Settings, job: str) -> None:
        """Look for the file; nothing is written yet."""
        self._settings = settings
        self._path = settings.state_dir / job / settings.consumer_group(job) / _FILE
        self._is_after_kill = self._path.exists()

    def begin(self) -> ReadWithCare | None:
        """Leave the file, and return how to read if the last life was killed; raises `OSError` naming the file.

        None too, with a line in the log, where the other client is not let in by the options of the first. The embedded
        broker is not asked: it does not outlive its jobs.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        if not self._is_after_kill or self._settings.embedded_broker:
            return None
        from processors.careful import CarefulReader  # noqa: PLC0415  # 20 MB and half a second of CPU, with the next
        from sensorbus.runtime.raw_consumer import RawConsumer  # noqa: PLC0415  # the same

        try:
            return functools.partial(CarefulReader, RawConsumer(self._settings))
        except SettingsError as error:
            _log.warning("the job's last life was killed, and it reads as always: %s", error)
            return None

    def close(self) -> None:
        """Take the file away; a folder that is gone has none, and from a disk that fails it costs a start with care."""
        with contextlib.suppress(OSError):  # the job ends, maybe by an error that is to be told
            self._path.unlink()
