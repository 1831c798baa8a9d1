"""Forwards one TCP port to another, byte by byte.

It gives the embedded broker, whose own port the operating system picks, an address that can be known beforehand:
a Kafka client asks it once for the brokers and then talks to those directly. One thread runs all connections.
"""

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Final, Self

_CHUNK_BYTES: Final = 65_536


class Forwarder:
    """Listens on `host:port` and forwards to `target`; a context manager. Raises `OSError` when the port is taken."""

    def __init__(self, host: str, port: int, target: tuple[str, int]) -> None:
        """Remember the addresses; `start` opens the port."""
        self._host, self._port, self._target = host, port, target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwarder", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        """Open the port."""
        try:
            serve = asyncio.start_server(self._forward, self._host, self._port, reuse_address=True)
            self._server = self._loop.run_until_complete(serve)
        except OSError:
            self._loop.close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port and every connection."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=2)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)
        self._loop.close()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        except asyncio.CancelledError:
            pass  # we stop; the connections are closed below
        finally:
            far_writer.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends its stream, and end the other's: what comes back meanwhile still arrives."""
    with contextlib.suppress(OSError):  # either side may go away at any time
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
