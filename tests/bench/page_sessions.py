"""Visitors without a screen, who ask or listen at 1 Hz."""

import asyncio
import gzip
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from tests.bench.page_servers import Server
from tests.bench.pages import fleet, naive
from tests.support.ticks import Follower, tick_body

_PERIOD_S: Final = 1.0
_READY_WITHIN_S: Final = 60.0
_FIRST_TICKS: Final = 3  # the whole window, the roster and one more are not what a tick costs


@dataclass
class Told:
    """What all visitors were told while `is_counting`: how long each answer took, bytes over the wire."""

    durations_s: list[float] = field(default_factory=list)
    size: int = 0
    is_counting: bool = False
    is_over: bool = False
    ready: int = 0


class Asking:
    """A browser of a Dash page: one connection that is kept, a tick a second."""

    def __init__(self, server: Server, body: Callable[[], object], take: Callable[[bytes], None]) -> None:
        """Ask nothing yet; `take` is given each answer, decompressed."""
        self._server, self._body, self._take = server, body, take

    async def run(self, told: Told) -> None:
        """Ask until it is over, each visitor at its own place in the second."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        at_s, asked = time.monotonic() + random.random() * _PERIOD_S, 0  # noqa: S311  # spreads, hides nothing
        while not told.is_over:
            await asyncio.sleep(max(0.0, at_s - time.monotonic()))
            is_counted = told.is_counting
            try:
                size, answer = await self._ask(reader, writer)
            except asyncio.IncompleteReadError:  # the server has ended a connection that was quiet for too long
                reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
                continue
            if is_counted and told.is_counting:
                told.durations_s.append(time.monotonic() - at_s)  # from when it was due: a late one counts as slow
                told.size += size
            self._take(answer)
            asked += 1
            told.ready += asked == _FIRST_TICKS
            at_s = max(at_s + _PERIOD_S, time.monotonic())
        writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
        body = orjson.dumps(self._body())
        writer.write(
            b"POST /_dash-update-component HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: gzip\r\n"
            b"Content-Type: application/json\r\nX-Sent-At: %.6f\r\nContent-Length: %d\r\n\r\n%b"
            % (self._server.port, time.monotonic(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if " 200 " not in status:
            raise RuntimeError(status)
        answer = await reader.readexactly(int(headers["content-length"]))
        is_packed = headers.get("content-encoding") == "gzip"
        return len(answer), gzip.decompress(answer) if is_packed else answer


def our_browser(server: Server, devices: int) -> Asking:
    """Return a browser of our page that shows 10 lines; of a large fleet each browser has its own."""
    first = random.randrange(devices)  # noqa: S311  # spreads, hides nothing
    detail = (fleet.names(devices) * 2)[first : first + fleet.LINES] if devices > 100 else None
    follower = Follower(detail)

    def take(answer: bytes) -> None:
        follower.take(orjson.loads(orjson.loads(answer)["response"]["delta"]["data"]))

    return Asking(server, lambda: tick_body(follower.asked), take)


def naive_browser(server: Server, _devices: int) -> Asking:
    """Return a browser of the plain Dash page."""
    return Asking(server, lambda: naive.TICK, lambda _answer: None)


class Listening:
    """A browser of a page that pushes over a websocket; `hello` is what it says first."""

    def __init__(self, url: str, protocols: Sequence[str], hello: bytes | None) -> None:
        """Connect to nothing yet."""
        self._url, self._protocols, self._hello = url, protocols, hello

    async def run(self, told: Told) -> None:
        """Listen until it is over."""
        from tornado.websocket import websocket_connect  # noqa: PLC0415  # comes with the group bench alone

        socket = await websocket_connect(self._url, subprotocols=list(self._protocols), max_message_size=2**28)
        if self._hello is not None:
            await socket.write_message(self._hello, binary=True)
        began_s, is_ready = time.monotonic(), False
        while not told.is_over:
            try:
                message = await asyncio.wait_for(socket.read_message(), _PERIOD_S)
            except TimeoutError:
                continue
            if message is None:
                raise RuntimeError("the server ended the connection")
            if told.is_counting:
                told.size += len(message)
            if not is_ready and time.monotonic() - began_s > _FIRST_TICKS * _PERIOD_S:
                is_ready = True
                told.ready += 1
        socket.close()


def bokeh_browser(server: Server, _devices: int) -> Listening:
    """Return a session of the Bokeh page."""
    from bokeh.util.token import generate_jwt_token, generate_session_id  # noqa: PLC0415  # of the group bench

    token = generate_jwt_token(generate_session_id())
    return Listening(f"ws://127.0.0.1:{server.port}/ws", ["bokeh", token], None)


def streamlit_browser(server: Server, _devices: int) -> Listening:
    """Return a session of the Streamlit page, whose script runs from its first message on."""
    from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: PLC0415  # of the group bench

    message = BackMsg()
    message.rerun_script.query_string = ""
    return Listening(f"ws://127.0.0.1:{server.port}/_stcore/stream", ["streamlit"], message.SerializeToString())


BROWSERS: Final[dict[str, Callable[[Server, int], Asking | Listening]]] = {
    "ours": our_browser,
    "naive Dash": naive_browser,
    "Bokeh": bokeh_browser,
    "Streamlit": streamlit_browser,
}


class Seen(NamedTuple):
    """What so many ticks took: CPU of the server, bytes over the wire, seconds until each answer was there."""

    ticks: int
    cpu_s: float
    size: int
    durations_s: list[float]


def visit(kind: str, server: Server, devices: int, visitors: int, seconds: float) -> Seen:
    """Let so many visitors be there, and count for so long."""
    return asyncio.run(_visit(kind, server, devices, visitors, seconds))


async def _visit(kind: str, server: Server, devices: int, visitors: int, seconds: float) -> Seen:
    told = Told()
    running = [asyncio.create_task(BROWSERS[kind](server, devices).run(told)) for _ in range(visitors)]
    end_s = time.monotonic() + _READY_WITHIN_S
    while told.ready < visitors and time.monotonic() < end_s:
        await asyncio.sleep(_PERIOD_S / 10)
        for ended in filter(asyncio.Task.done, running):
            ended.result()  # raises what ended it
    before_s, before = server.cpu_s(), server.ticks.stat().st_size
    told.is_counting = True
    await asyncio.sleep(seconds)
    told.is_counting = False
    cpu_s, ticks = server.cpu_s() - before_s, server.ticks.stat().st_size - before
    told.is_over = True
    await asyncio.gather(*running)
    return Seen(len(told.durations_s) or ticks, cpu_s, told.size, told.durations_s)
