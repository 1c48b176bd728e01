"""The load: HTTP/1.1 over kept loopback connections, written by hand so that it costs little beside the service.

A process of its own. It takes jobs on stdin and gives outcomes on stdout, each a msgpack message behind its length (4
bytes, big-endian). For each job it opens the connections, says `Ready`, waits for an empty message, and runs. It ends
when stdin closes. What an answer means is not looked at here: all of it goes back to whoever asked.
"""

import asyncio
import gc
import random
import struct
import sys
import time
from collections import deque
from typing import Any, BinaryIO, Final

import msgspec
import uvloop

LOOPBACK: Final = "127.0.0.1"
MOST_ANSWERS: Final = 200_000
PATIENCE_SECONDS: Final = 30.0
WITHOUT_ANSWER: Final = 0


class Job(msgspec.Struct, kw_only=True):
    """What to send. `requests` are whole HTTP requests, sent in their order.

    At `most` so many, for so many `seconds`; from the first again when they are through, if they `recur`.

    Closed loop (`rate` 0): each connection sends its next request when the last is answered. The connections start
    spread over `spread_seconds`, so that they do not march in step behind a slow gateway.

    Open loop: `rate` requests a second at seeded random times, whatever the answers do, each timed from its due time.
    """

    port: int
    connections: int
    requests: list[bytes]
    seconds: float
    most: int
    recur: bool = False
    rate: float = 0.0
    spread_seconds: float = 0.0


class Answer(msgspec.Struct, array_like=True):
    """One answer. `status` 0: the connection broke, or nothing came."""

    request: int
    status: int
    seconds: float
    body: bytes


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a job. `seconds` reach from the start to the last answer."""

    seconds: float
    answers: list[Answer]


class Ready(msgspec.Struct, kw_only=True):
    """All connections are open."""

    connections: int


def write_message(stream: BinaryIO, message: Any) -> None:
    """Write one message."""
    packed = msgspec.msgpack.encode(message)
    left = memoryview(struct.pack(">I", len(packed)) + packed)
    while left:  # stdout may be unbuffered, and then takes less than it is given
        left = left[stream.write(left) :]
    stream.flush()


def read_message(stream: BinaryIO) -> bytes | None:
    """Read one message; None at the end."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    return stream.read(struct.unpack(">I", head)[0])


class Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._whole = 0
        self._status = 0
        self._body_at = 0
        self._request = -1
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are no asyncio.Transport

    def send(self, request: int, began: float) -> None:
        """Send the request of this number; its time runs from `began`."""
        self._request = request
        self._began = began
        if self._transport is None:
            self._answered(WITHOUT_ANSWER, b"not connected")
            return
        self._transport.write(self._run.requests[request])

    def data_received(self, data: bytes) -> None:
        """Put the answer together; tell of it when it is whole."""
        self._received = self._received + data if self._received else data
        if not self._whole:
            head_end = self._received.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = self._received[:head_end].lower()
            found = head.find(b"content-length:")
            if found < 0:
                self._break(b"an answer without a content-length")
                return
            self._status = int(head[9:12])
            self._body_at = head_end + 4
            self._whole = self._body_at + int(head[found + 15 :].partition(b"\r\n")[0])
        if len(self._received) >= self._whole:
            if len(self._received) > self._whole or self._request < 0:
                self._break(b"more than one answer")
                return
            body = self._received[self._body_at :]
            self._received, self._whole = b"", 0
            self._answered(self._status, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """A request under way gets no answer any more."""
        self._transport = None
        if self._request >= 0:
            self._answered(WITHOUT_ANSWER, b"the connection was closed")

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()

    def _break(self, why: bytes) -> None:
        self.close()
        self._transport = None
        self._answered(WITHOUT_ANSWER, why)

    def _answered(self, status: int, body: bytes) -> None:
        request, self._request = self._request, -1
        if request >= 0:
            self._run.answered(self, Answer(request, status, time.perf_counter() - self._began, body))


class Run:
    """One job under way."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self.requests = job.requests
        self._job = job
        self._loop = loop
        self._answers: list[Answer] = []
        self._next = 0
        self._under_way = 0
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._is_over = asyncio.Event()
        self._ends_at = 0.0
        self._unbroken = job.connections
        self._random = random.Random(20)

    async def connect(self) -> list[Connection]:
        """Open every connection."""
        made = [
            await self._loop.create_connection(lambda: Connection(self), LOOPBACK, self._job.port)
            for _ in range(self._job.connections)
        ]
        return [connection for _, connection in made]

    async def __call__(self, connections: list[Connection]) -> Outcome:
        """Send everything, and wait for the answers."""
        job = self._job
        began = time.perf_counter()
        self._ends_at = began + job.seconds
        if job.rate:
            self._idle.extend(connections)
            self._arrive(began)
        elif job.spread_seconds:
            pause = job.spread_seconds / len(connections)
            for place, connection in enumerate(connections):
                self._loop.call_later(place * pause, self._send_next, connection)
        else:
            for connection in connections:
                self._send_next(connection)
        try:
            async with asyncio.timeout(job.seconds + PATIENCE_SECONDS):
                await self._is_over.wait()
        except TimeoutError:
            lost = Answer(max(0, self._next - 1), WITHOUT_ANSWER, PATIENCE_SECONDS, b"no answer in time")
            self._answers += [lost] * self._under_way
        seconds = time.perf_counter() - began
        for connection in connections:
            connection.close()
        return Outcome(seconds=seconds, answers=self._answers)

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Keep an answer, and give the connection its next request."""
        self._under_way -= 1
        self._answers.append(answer)
        if answer.status == WITHOUT_ANSWER:
            self._unbroken -= 1
            if self._unbroken:
                self._look_whether_over()
            else:
                self._is_over.set()
        elif not self._job.rate:
            self._send_next(connection)
        elif self._due:
            self._send(connection, self._due.popleft())
        else:
            self._idle.append(connection)
            self._look_whether_over()

    def _send_next(self, connection: Connection) -> None:
        now = time.perf_counter()
        if now < self._ends_at and self._is_more():
            self._send(connection, now)
        else:
            self._look_whether_over()

    def _send(self, connection: Connection, began: float) -> None:
        request = self._next % len(self.requests)
        self._next += 1
        self._under_way += 1
        connection.send(request, began)

    def _arrive(self, due: float) -> None:
        """Send what is due by now, and come back for the next. Times are exponential, as of independent customers."""
        now = time.perf_counter()
        while due <= now and due < self._ends_at and self._is_more(len(self._due)):
            if self._idle:
                self._send(self._idle.popleft(), due)
            else:
                self._due.append(due)
            due += self._random.expovariate(self._job.rate)
        if due < self._ends_at and self._is_more(len(self._due)):
            self._loop.call_later(max(0.0, due - now), self._arrive, due)
        else:
            self._ends_at = now
            self._look_whether_over()

    def _is_more(self, promised: int = 0) -> bool:
        sent = self._next + promised
        return sent < min(self._job.most, MOST_ANSWERS) and (self._job.recur or sent < len(self.requests))

    def _look_whether_over(self) -> None:
        is_at_its_end = time.perf_counter() >= self._ends_at or not self._is_more()
        if is_at_its_end and not self._under_way and not self._due:
            self._is_over.set()


async def _run(job: Job) -> Outcome:
    run = Run(job, asyncio.get_running_loop())
    connections = await run.connect()
    write_message(sys.stdout.buffer, Ready(connections=len(connections)))
    read_message(sys.stdin.buffer)
    return await run(connections)


def main() -> None:
    """Run jobs until stdin closes."""
    gc.disable()  # nothing here makes cycles; a collection would be measured as the service's slowness
    while (message := read_message(sys.stdin.buffer)) is not None:
        outcome = uvloop.run(_run(msgspec.msgpack.decode(message, type=Job)))
        write_message(sys.stdout.buffer, outcome)
        gc.collect()


if __name__ == "__main__":
    main()
