"""A replay of dead letters that is killed in the middle of its third transaction.

`python -m tests.support.killed_replay dead-letter replay ...` is `sensorbus dead-letter replay ...` until then; two
letters are in a transaction.
"""

import os
import signal
from collections.abc import Sequence
from typing import Any, Final

from sensorbus import dead_letters
from sensorbus.cli import main

PER_TRANSACTION: Final = 2
_COMMITTED: Final = 2

_send = dead_letters._send


class _Killed:
    """A producer that sends all of a transaction, and dies instead of committing it."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self, *_: Any) -> None:
        self._producer.flush(10)
        os.kill(os.getpid(), signal.SIGKILL)


def _send_or_die(settings: Any, producer: Any, batch: Sequence[dead_letters.Ready], sent: int) -> None:
    _send(settings, producer if sent < _COMMITTED * PER_TRANSACTION else _Killed(producer), batch, sent)


if __name__ == "__main__":
    dead_letters._BATCH = PER_TRANSACTION  # type: ignore[misc]  # no test writes a thousand letters for that
    dead_letters._send = _send_or_die
    main()
