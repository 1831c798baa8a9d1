"""A job that freezes itself with a checkpoint half done.

`python -m tests.support.frozen JOB` runs the job as `python -m processors JOB` does. After SIGUSR1 it stops (SIGSTOP)
before it asks for its next record, once it has processed some that are not committed. Awake again, it asks with more
patience, so that it learns in one poll that it was given up and what it is assigned anew. Its transaction lives on.
"""

import os
import signal
from typing import Any

from quixstreams import Application
from quixstreams.internal_consumer import InternalConsumer

from processors import application
from processors.__main__ import main

_PATIENCE_S = 4.0
_poll_row, _run = InternalConsumer.poll_row, Application.run
_applications: list[Application] = []
_told: list[int] = []


def _poll_or_freeze(self: InternalConsumer, **options: Any) -> Any:
    if _told and not _applications[0]._processing_context.checkpoint.empty():
        _told.clear()
        self.pause(self.assignment())  # a record fetched ahead would come first, and be refused with the commit
        os.kill(os.getpid(), signal.SIGSTOP)
        options["timeout"] = _PATIENCE_S
    return _poll_row(self, **options)


def _run_known(self: Application, *arguments: Any, **options: Any) -> Any:
    _applications.append(self)
    signal.signal(signal.SIGUSR1, lambda number, _frame: _told.append(number))
    return _run(self, *arguments, **options)


if __name__ == "__main__":
    InternalConsumer.poll_row = _poll_or_freeze  # type: ignore[assignment, method-assign]  # any arguments
    Application.run = _run_known  # type: ignore[method-assign]  # any arguments
    application._DYNAMIC_TRANSACTION_TIMEOUT_MS = 60_000  # type: ignore[misc]  # longer than it is frozen
    main()
