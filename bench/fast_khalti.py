"""A Khalti that costs next to nothing: initiate and look-up, every payment completed. For measuring only.

It shares no code with the service, keeps connections, gives each payment a pidx of its own and remembers its amount.
A pidx that it did not give itself tells its own answer: `O` (open) or `C` (completed), nine digits of amount, and a
number. It checks nothing, so it is no stand-in to test against: that is `sewapay simulate khalti`.

Prints its port as the first line of stdout. A number on its stdin is the time that it takes from then on, in
milliseconds; `?` asks how many look-ups it has answered. It ends when stdin closes, so it never outlives the benchmark.
"""

import asyncio
import os
import secrets
import socket
import sys
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Final

import msgspec
import uvloop

NEPAL: Final = timezone(timedelta(hours=5, minutes=45))
LINK_SECONDS: Final = 1800
PIDX_LENGTH: Final = 22
MOST_BYTES: Final = 64 * 1024
HOW_MANY: Final = b"?"


class Asked(msgspec.Struct):
    """Of both requests, the fields that matter here."""

    amount: int = 0
    pidx: str = ""


class Ledger:
    """What was asked for, and the answers to it."""

    def __init__(self, port: int) -> None:
        self.delay_seconds = 0.0
        self.look_ups = 0
        self._port = port
        self._amounts: dict[str, int] = {}
        self._numbers = count(1)
        self._prefix = secrets.token_hex(5)
        self._decode = msgspec.json.Decoder(Asked).decode

    def answer(self, path: bytes, body: bytes) -> bytes:
        """The whole HTTP answer to one POST."""
        try:
            asked = self._decode(body)
        except msgspec.DecodeError:
            return _http(400, '{"error_key":"validation_error"}')
        if path.endswith(b"/epayment/initiate/"):
            return self._initiate(asked.amount)
        if path.endswith(b"/epayment/lookup/"):
            return self._look_up(asked.pidx)
        return _http(404, '{"detail":"Not found.","error_key":"validation_error"}')

    def _initiate(self, amount: int) -> bytes:
        pidx = f"{self._prefix}{next(self._numbers):0{PIDX_LENGTH - len(self._prefix)}d}"
        self._amounts[pidx] = amount
        expires_at = datetime.now(NEPAL) + timedelta(seconds=LINK_SECONDS)
        return _http(
            200,
            f'{{"pidx":"{pidx}","payment_url":"http://127.0.0.1:{self._port}/?pidx={pidx}",'
            f'"expires_at":"{expires_at.isoformat()}","expires_in":{LINK_SECONDS}}}',
        )

    def _look_up(self, pidx: str) -> bytes:
        self.look_ups += 1
        amount = self._amounts.get(pidx)
        if amount is None and pidx[:1] in ("O", "C"):
            amount = int(pidx[1:10])
        if amount is None:
            return _http(404, '{"detail":"Not found.","error_key":"validation_error"}')
        if pidx[0] == "O":
            return _http(
                200,
                f'{{"pidx":"{pidx}","total_amount":{amount},"status":"Initiated",'
                f'"transaction_id":null,"fee":0,"refunded":false}}',
            )
        return _http(
            200,
            f'{{"pidx":"{pidx}","total_amount":{amount},"status":"Completed",'
            f'"transaction_id":"T{pidx}","fee":0,"refunded":false}}',
        )


def _http(status: int, body: str) -> bytes:
    reason = {200: "OK", 400: "Bad Request", 404: "Not Found"}[status]
    return (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode("ascii")


class Connection(asyncio.Protocol):
    """One kept connection: a request, its answer, the next request."""

    def __init__(self, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._ledger = ledger
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are no asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer as soon as the request is whole."""
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._received[:head_end].lower()
        found = head.find(b"content-length:")
        length = int(head[found + 15 :].partition(b"\r\n")[0]) if found >= 0 else 0
        if length > MOST_BYTES:
            self._close()
            return
        whole = head_end + 4 + length
        if len(self._received) < whole:
            return
        path = head.split(b" ", 2)[1]
        answer = self._ledger.answer(path, self._received[head_end + 4 : whole])
        self._received = self._received[whole:]
        if self._ledger.delay_seconds:
            self._loop.call_later(self._ledger.delay_seconds, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def serve() -> None:
    """Serve on a free loopback port until stdin closes."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listener.getsockname()[1]
    ledger = Ledger(port)
    over = asyncio.Event()

    def asked() -> None:
        words = os.read(0, 4096).split()
        if not words:
            over.set()
            return
        told = ledger.look_ups
        if words[-1] != HOW_MANY:
            told = int(words[-1])
            ledger.delay_seconds = told / 1000
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()

    server = await loop.create_server(lambda: Connection(ledger, loop), sock=listener)
    loop.add_reader(0, asked)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await over.wait()
    loop.remove_reader(0)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
