"""The page with faults to order.

`python -m tests.support.faulty_page FOLDER` is `python -m dashboard_app`, but that its workers look into the folder:
a file `raise` lets the consumer thread fail with a batch that it has not kept yet, `raise-late` with one that it has,
`hang` lets it wait for ever, and `slow` makes one tick that asks for all compute for seconds. Whichever worker finds a
file first removes it, writes its id beside it and has the fault, once. While there is a file `fail`, all ticks do.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any, Final

from dashboard_app.__main__ import main
from dashboard_app.gunicorn_ending import EndingWorker

#: How long a tick that is ordered to be slow computes.
SLOW_S: Final = 4.0
_init_process: Final = EndingWorker.init_process


def order(folder: Path, fault: str) -> None:
    """Let one worker have a fault soon."""
    (folder / fault).touch()


def who_had(folder: Path, fault: str) -> int | None:
    """Return the worker that had the fault which was ordered last; None: none yet."""
    told = folder / f"{fault}.pid"
    return int(told.read_text()) if told.exists() else None


def _has(folder: Path, fault: str) -> bool:
    """Tell whether this worker is to have the fault now."""
    try:
        (folder / fault).unlink()
    except FileNotFoundError:
        return False
    (folder / f"{fault}.new").write_text(str(os.getpid()))
    (folder / f"{fault}.new").rename(folder / f"{fault}.pid")
    return True


def _init_with_faults(worker: EndingWorker, folder: Path) -> None:
    """Change what a worker runs, before it loads the page; its master loads nothing of it, here as elsewhere."""
    from dashboard_app import callbacks  # noqa: PLC0415  # only in a worker: prometheus_client looks once
    from dashboard_app.reader import Reader  # noqa: PLC0415  # the same

    Reader._take = _faulty_take(folder, Reader._take)  # type: ignore[method-assign]  # with the same arguments
    callbacks.answer_to = _slow_answer(folder, callbacks.answer_to)
    _init_process(worker)


def _faulty_take(folder: Path, take: Callable[..., None]) -> Callable[..., None]:
    def take_or_fail(reader: Any, messages: Any, consumer: Any) -> None:
        records = [message for message in messages if message.error() is None]
        if records and _has(folder, "raise"):
            raise RuntimeError("ordered by the test")
        if _has(folder, "hang"):
            threading.Event().wait()
        take(reader, messages, consumer)
        if records and _has(folder, "raise-late"):
            raise RuntimeError("ordered by the test")

    return take_or_fail


def _slow_answer(folder: Path, answer_to: Callable[..., bytes]) -> Callable[..., bytes]:
    def answer_slowly(fields: Any, *arguments: Any, **options: Any) -> bytes:
        if (folder / "fail").exists():
            raise RuntimeError("ordered by the test")
        if fields["state"][0]["value"]["cursor"] is None and _has(folder, "slow"):
            until_s = time.monotonic() + SLOW_S
            while time.monotonic() < until_s:  # as code that computes, not as one that waits
                pass
        return answer_to(fields, *arguments, **options)

    return answer_slowly


if __name__ == "__main__":
    ordered = Path(sys.argv.pop())  # else main refuses it
    setattr(EndingWorker, "init_process", partialmethod(_init_with_faults, ordered))  # noqa: B010  # mypy knows no other
    main()
