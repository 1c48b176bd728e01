"""The one HTTP client of a process: what it sends, what it ignores, and where it may be made and closed."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest
import uvloop
from attrs import define, field

from sewapay.wire.client import build_client
from tests.servers import run_in_thread


@define
class Recorder:
    """An ASGI application that keeps the headers it saw, and hands out cookies."""

    seen: list[dict[str, str]] = field(factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        headers = [(b"set-cookie", b"session=1; Path=/"), (b"location", b"/elsewhere"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def address(recorder: Recorder) -> Iterator[str]:
    with run_in_thread(recorder) as address:
        yield address


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_it_is_made_outside_of_a_loop_and_closed_inside(
    recorder: Recorder, address: str, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    client = build_client()

    async def use() -> None:
        answers = await asyncio.gather(*(client.get(address) for _ in range(5)))
        assert [answer.status_code for answer in answers] == [302] * 5
        await client.aclose()

    run(use())

    assert client.is_closed
    assert len(recorder.seen) == 5


def test_it_may_be_closed_unused() -> None:
    asyncio.run(build_client().aclose())


async def test_it_keeps_no_cookies_and_follows_nothing(recorder: Recorder, address: str) -> None:
    async with build_client() as client:
        answer = await client.get(address)
        await client.get(address)

        assert dict(client.cookies) == {}
    assert answer.headers["set-cookie"]
    assert [headers.get("cookie") for headers in recorder.seen] == [None, None]


async def test_it_does_not_take_cookies_either() -> None:
    async with build_client() as client:
        with pytest.raises(TypeError):
            client.cookies = httpx.Cookies({"session": "1"})


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    recorder: Recorder, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async with build_client() as client:
        await client.get(address)

    assert "authorization" not in recorder.seen[0]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_was_dropped_is_not_sent_again_behind_our_back(method: str) -> None:
    arrived: list[bytes] = []

    async def drops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.readuntil(b"\r\n"))
        writer.close()

    async with await asyncio.start_server(drops, "127.0.0.1", 0) as server, build_client() as client:
        port = server.sockets[0].getsockname()[1]

        with pytest.raises(httpx.TransportError):
            await client.request(method, f"http://127.0.0.1:{port}/")

    assert arrived == [f"{method} / HTTP/1.1\r\n".encode()]


def test_silence_and_full_pools_are_waited_for_with_measure() -> None:
    client = build_client()

    assert client.timeout == httpx.Timeout(5.0, connect=2.0, pool=3.0)
    asyncio.run(client.aclose())
