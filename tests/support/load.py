"""Browsers that tick, as a bounded load.

Keep-alive connections, one tick a period each, every answer looked at.
"""

import asyncio
import contextlib
import json
import random
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dashboard_app import ids
from tests.support.ticks import tick_body
from tests.support.waiting import wait_until

_ANSWER_WITHIN_S: Final = 10.0
_CLOSED_WITHIN_S: Final = 2.0
_END_WITHIN_S: Final = 20.0


@dataclass
class Outcome:
    """What became of the requests. As browsers and proxies do, one whose connection is closed is sent once more."""

    #: How many were answered, and how many of them only when they were sent again.
    answers: int = 0
    sent_again: int = 0
    slowest_s: float = 0.0
    refused: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return all of it in a line."""
        ticks = f"{self.answers} ticks answered, {self.sent_again} of them sent again, {self.refused} refused"
        return f"{ticks}, {len(self.failures)} failed; the slowest took {self.slowest_s:.1f} s"


@dataclass(frozen=True)
class Way:
    """How browsers come to the page; with `trust`, over TLS through a proxy, each from an address of its own."""

    port: int
    prefix: str = "/"
    trust: ssl.SSLContext | None = None
    answer_within_s: float = _ANSWER_WITHIN_S

    async def connect(self, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the connection of browser `number`, 254 at most with `trust`."""
        if self.trust is None:
            return await asyncio.open_connection("127.0.0.1", self.port)
        own = (f"127.0.0.{1 + number}", 0)
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname="localhost", local_addr=own
        )


class Load:
    """So many browsers in a thread of their own, spread over the period; a context manager."""

    def __init__(self, way: Way | int, browsers: int, period_s: float, *, may_be_refused: bool = False) -> None:
        """By a way or to a port; `may_be_refused`: a server that takes no connection any more is no failure."""
        self._way = Way(way) if isinstance(way, int) else way
        self._browsers, self._period_s = browsers, period_s
        self._may_be_refused = may_be_refused
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self.outcome = Outcome()

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let each browser end its request."""
        self._stop.set()
        self._thread.join(_END_WITHIN_S)
        assert not self._thread.is_alive()

    def wait_for_answers(self, more: int, within_s: float = 30, log: Path | None = None) -> None:
        """Wait until so many more ticks were answered, or one failed."""
        wanted = self.outcome.answers + more
        wait_until(lambda: self.outcome.answers >= wanted or self.outcome.failures, within_s, f"{more} answers", log)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._browsers):
                group.create_task(self._browse(number))

    async def _browse(self, number: int) -> None:
        browser = _Browser(self._way, number)
        await asyncio.sleep(random.Random(number).random() * self._period_s)  # noqa: S311  # a phase
        while not self._stop.is_set():
            asked_s = time.monotonic()
            try:
                self.outcome.sent_again += await browser.tick()
                self.outcome.answers += 1
                self.outcome.slowest_s = max(self.outcome.slowest_s, time.monotonic() - asked_s)
            except ConnectionRefusedError as error:
                self.outcome.refused += 1
                if not self._may_be_refused:
                    self.outcome.failures.append(repr(error))
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.outcome.failures.append(repr(error))
            await asyncio.sleep(self._period_s)
        await browser.close()


class _Browser:
    """One connection and one cursor."""

    def __init__(self, way: Way, number: int) -> None:
        self._way, self._number = way, number
        self._cursor: Any = None
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def tick(self) -> int:
        """Return 1 if the request had to be sent again, on a new connection."""
        try:
            await asyncio.wait_for(self._ask(), self._way.answer_within_s)
        except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError) as error:
            await self.close()
            if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                raise
            await asyncio.wait_for(self._ask(), self._way.answer_within_s)
            return 1
        return 0

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is None:
            return
        (_, writer), self._connection = self._connection, None
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), _CLOSED_WITHIN_S)

    async def _ask(self) -> None:
        if self._connection is None:
            self._connection = await self._way.connect(self._number)
        reader, writer = self._connection
        body = json.dumps(tick_body({"cursor": self._cursor, "detail": [], "history": []})).encode()
        writer.write(
            b"POST %s_dash-update-component HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (self._way.prefix.encode(), len(body), body)
        )
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        text = await reader.readexactly(length)
        if " 200 " not in head.partition("\r\n")[0]:
            raise ValueError(f"{head} {text[:200]!r}")
        if "connection: close" in head:
            await self.close()
        self._cursor = json.loads(json.loads(text)["response"][ids.DELTA]["data"])["cursor"]
