"""A TCP proxy in a thread of its own: it can hold bytes back, per direction, and break connections.

It knows nothing of TLS or Kafka. A test that wants "the request arrived, its answer did not" holds the answers back,
looks at the broker until the effect is there, and breaks the connections.
"""

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Direction(Enum):
    """Where bytes travel."""

    TO_BROKER = "to broker"
    TO_CLIENT = "to client"


class Proxy:
    """Forwards every connection to one port; a context manager.

    Args:
        target_port: the broker's port on the loopback.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._flowing = {direction: asyncio.Event() for direction in Direction}
        self._connections: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self, *directions: Direction) -> None:
        """Keep bytes back from now on: the connections stay, nothing arrives."""
        self._call(self._set(directions, flowing=False))

    def release(self) -> None:
        """Let everything flow again, what was kept back first."""
        self._call(self._set(tuple(Direction), flowing=True))

    def reset(self) -> None:
        """Break every connection (RST); what was kept back is lost. New connections are taken."""
        self._call(self._reset())

    def _call(self, step: "asyncio.coroutines.Coroutine[None, None, None]") -> None:  # type: ignore[name-defined]
        asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    async def _start(self) -> None:
        await self._set(tuple(Direction), flowing=True)
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def _stop(self) -> None:
        self._server.close()
        await self._reset()

    async def _set(self, directions: tuple[Direction, ...], *, flowing: bool) -> None:
        for direction in directions:
            if flowing:
                self._flowing[direction].set()
            else:
                self._flowing[direction].clear()

    async def _reset(self) -> None:
        for writer in self._connections:
            # One that the other side has just closed is broken already.
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
                )
            writer.transport.abort()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._connections.add(writer)
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the broker is away, or the connection was broken on purpose
        finally:
            writer.transport.abort()
            self._connections.discard(writer)
            self._serving.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection(HOST, self._target_port)
        self._connections.add(broker_writer)
        pumps = [
            asyncio.ensure_future(self._pump(reader, broker_writer, Direction.TO_BROKER)),
            asyncio.ensure_future(self._pump(broker_reader, writer, Direction.TO_CLIENT)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            broker_writer.transport.abort()
            self._connections.discard(broker_writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            await self._flowing[direction].wait()
            writer.write(chunk)
            await writer.drain()
