"""The door, through real sockets: who is let through, to where, how much, and for how long."""

from __future__ import annotations

import asyncio
import base64
import pickle
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cutaway_server.fetch.door import Door, Pass
from cutaway_server.fetch.guard import Policy, UnknownHost
from servers import Canary, Origin, Resource

PLENTY = 1 << 40


@asynccontextmanager
async def opened(policy: Policy, **options: Any) -> AsyncIterator[Door]:
    door = Door(policy, **options)
    await door.start()
    try:
        yield door
    finally:
        await door.stop()


class Client:
    """A client of the door that speaks plain bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = ""

    @classmethod
    async def ask(cls, pass_: Pass, line: str, *fields: str, token: str | None = None) -> Client:
        client = cls(*await asyncio.open_connection(pass_.host, pass_.port, limit=1 << 24))
        secret = base64.b64encode(f"{pass_.token if token is None else token}:".encode()).decode()
        lines = [f"{line} HTTP/1.1", f"Proxy-Authorization: Basic {secret}", *fields, "", ""]
        client.writer.write("\r\n".join(lines).encode())
        client.head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
        return client

    @classmethod
    async def connect(cls, pass_: Pass, host: str, port: int, **options: Any) -> Client:
        return await cls.ask(pass_, f"CONNECT {host}:{port}", **options)

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def reason(self) -> str:
        fields = [line.partition(": ") for line in self.head.split("\r\n")]
        return next((value for name, _, value in fields if name == "X-Cutaway-Refused"), "")

    async def get(self, name: str) -> bytes:
        """Get a resource through the tunnel and return its body."""
        self.writer.write(f"GET /{name} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        return await self.reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))

    async def ended(self) -> bytes:
        """Return what comes until the connection ends, in whichever way."""
        got = b""
        try:
            while part := await self.reader.read(65536):
                got += part
        except ConnectionError:
            pass
        self.writer.transport.abort()
        return got

    def leave(self) -> None:
        self.writer.transport.abort()


async def waited(origin: Origin, connections: int) -> None:
    await asyncio.to_thread(origin.wait_for, lambda: origin.open_connections == connections)


@pytest.mark.gen_test
async def test_a_tunnel_carries_requests_and_counts() -> None:
    body = bytes(range(256)) * 4096
    with Origin() as origin:
        origin.serve("film", body)
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                assert pickle.loads(pickle.dumps(pass_)) == pass_
                assert pass_.token not in repr(pass_)
                client = await Client.connect(pass_, "127.0.0.1", origin.port)
                assert client.status == 200
                assert await client.get("film") == body
                assert await client.get("film") == body
                assert door.connections(pass_) == 1
                usage = door.usage(pass_)
                assert usage.connections == 1
                assert 2 * len(body) < usage.bytes < 2 * len(body) + 2000
            await door.gone(pass_)
            assert door.connections(pass_) == 0
            assert door.usage(pass_) == usage
            await client.ended()
        assert origin.connections == 1


@pytest.mark.gen_test
async def test_leaving_the_block_cuts_both_sides_in_mid_transfer() -> None:
    with Origin() as origin:
        origin.serve("film", Resource(bytes(1 << 20), stall_after=1000))
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=PLENTY) as pass_, door.admit(max_bytes=PLENTY) as other:
                clients = [await Client.connect(pass_, "127.0.0.1", origin.port) for _ in range(3)]
                for client in clients:
                    client.writer.write(b"GET /film HTTP/1.1\r\n\r\n")
                    await client.reader.readuntil(b"\r\n\r\n")
                    await client.reader.readexactly(1000)
                spared = await Client.connect(other, "127.0.0.1", origin.port)
                assert door.connections(pass_) == 3
                with pytest.raises(RuntimeError):
                    await door.gone(pass_)
            began = time.monotonic()
            await door.gone(pass_)
            await door.gone(other)
            assert time.monotonic() - began < 0.1
            await waited(origin, 0)
            for client in [*clients, spared]:
                assert await client.ended() == b""
            late = await Client.connect(pass_, "127.0.0.1", origin.port)
            assert (late.status, late.reason) == (407, "token")
            late.leave()


@pytest.mark.gen_test
async def test_a_client_that_leaves_takes_its_upstream_with_it() -> None:
    with Origin() as origin:
        origin.serve("film", Resource(bytes(1 << 20), stall_after=1000))
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "127.0.0.1", origin.port)
                client.writer.write(b"GET /film HTTP/1.1\r\n\r\n")
                await client.reader.readuntil(b"\r\n\r\n")
                client.leave()
                await waited(origin, 0)
            await door.gone(pass_)


@pytest.mark.gen_test
@pytest.mark.parametrize("token", ["", "wrong"])
async def test_no_token_no_way(token: str) -> None:
    with Canary() as canary:
        async with opened(Policy(allow_addresses=(("127.0.0.1", canary.port),))) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "127.0.0.1", canary.port, token=token)
                assert (client.status, client.reason) == (407, "token")
                assert "Proxy-Authenticate: Basic" in client.head
                await client.ended()
        assert canary.contacts == 0


@pytest.mark.gen_test
@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "[::ffff:127.0.0.1]", "0"])
async def test_private_hosts_are_refused(host: str) -> None:
    with Canary() as canary:
        async with opened(Policy()) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                for line in (f"CONNECT {host}:{canary.port}", f"GET http://{host}:{canary.port}/x"):
                    client = await Client.ask(pass_, line)
                    assert (client.status, client.reason) == (403, "address")
                    await client.ended()
                assert door.usage(pass_).connections == 0
        assert canary.contacts == 0


@pytest.mark.gen_test
async def test_one_answer_per_pass_defeats_rebinding() -> None:
    lookups: list[str] = []

    async def rebinding(host: str) -> Sequence[str]:
        lookups.append(host)
        return ["127.0.0.1"] if len(lookups) == 1 else ["127.0.0.9"]

    with Origin() as origin, Canary("127.0.0.9") as canary:
        origin.serve("film", b"film")
        async with opened(origin.policy, resolver=rebinding) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                for name in ("films.example", "FILMS.example", "films.example"):
                    client = await Client.connect(pass_, name, origin.port)
                    assert await client.get("film") == b"film"
                    client.leave()
                assert lookups == ["films.example"]
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "films.example", canary.port)
                assert client.reason == "address"
                await client.ended()
        assert canary.contacts == 0


@pytest.mark.gen_test
async def test_one_private_address_among_several_is_enough() -> None:
    async def resolver(host: str) -> Sequence[str]:
        return ["127.0.0.1", "10.0.0.1"]

    with Origin() as origin:
        async with opened(origin.policy, resolver=resolver) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "films.example", origin.port)
                assert client.reason == "address"
                await client.ended()
        assert origin.connections == 0


@pytest.mark.gen_test
async def test_the_next_address_is_tried() -> None:
    async def resolver(host: str) -> Sequence[str]:
        return ["127.0.0.8", "127.0.0.1"]  # nobody listens on the first one

    with Origin() as origin:
        origin.serve("film", b"film")
        policy = Policy(allow_addresses=(("127.0.0.1", origin.port), ("127.0.0.8", origin.port)))
        async with opened(policy, resolver=resolver) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "films.example", origin.port)
                assert await client.get("film") == b"film"
                client.leave()


@pytest.mark.gen_test
async def test_hosts_that_cannot_be_reached() -> None:
    async def resolver(host: str) -> Sequence[str]:
        if host == "slow.example":
            await asyncio.Event().wait()
        if host == "unknown.example":
            raise UnknownHost("unknown")
        return ["127.0.0.1"]

    with Canary() as canary:
        closed = canary.port
    async with opened(Policy(allow_addresses=(("127.0.0.1", closed),)), resolver=resolver, connect_seconds=0.1) as door:
        with door.admit(max_bytes=PLENTY) as pass_:
            for host, status, reason in [
                ("unknown.example", 502, "host"),
                ("slow.example", 502, "host"),
                ("closed.example", 502, "connect"),
            ]:
                client = await Client.connect(pass_, host, closed)
                assert (client.status, client.reason) == (status, reason)
                await client.ended()


@pytest.mark.gen_test
async def test_revoking_ends_a_lookup() -> None:
    asked = asyncio.Event()

    async def resolver(host: str) -> Sequence[str]:
        asked.set()
        await asyncio.Event().wait()
        return []

    async with opened(Policy(), resolver=resolver, connect_seconds=60) as door:
        with door.admit(max_bytes=PLENTY) as pass_:
            connecting = asyncio.ensure_future(Client.connect(pass_, "slow.example", 80))
            await asked.wait()
        await door.gone(pass_)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await connecting


@pytest.mark.gen_test
async def test_over_the_budget_the_connection_is_cut() -> None:
    with Origin() as origin:
        origin.serve("film", bytes(3_000_000))
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=1_000_000) as pass_:
                client = await Client.connect(pass_, "127.0.0.1", origin.port)
                client.writer.write(b"GET /film HTTP/1.1\r\n\r\n")
                assert len(await client.ended()) <= 1_000_000
                again = await Client.connect(pass_, "127.0.0.1", origin.port)
                assert (again.status, again.reason) == (403, "budget")
                await again.ended()
                await waited(origin, 0)


@pytest.mark.gen_test
async def test_connections_per_pass_are_bounded() -> None:
    with Origin() as origin:
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=PLENTY, max_connections=2) as pass_:
                clients = [await Client.connect(pass_, "127.0.0.1", origin.port) for _ in range(3)]
                assert [client.status for client in clients] == [200, 200, 429]
                assert clients[2].reason == "busy"
                for client in clients:
                    client.leave()


@pytest.mark.gen_test
async def test_an_idle_connection_is_cut() -> None:
    with Origin() as origin:
        origin.serve("film", Resource(bytes(1000), stall_after=10))
        async with opened(origin.policy, idle_seconds=0.1) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "127.0.0.1", origin.port)
                client.writer.write(b"GET /film HTTP/1.1\r\n\r\n")
                assert len((await client.ended()).partition(b"\r\n\r\n")[2]) == 10
                await waited(origin, 0)


@pytest.mark.gen_test
async def test_a_drip_is_not_idle() -> None:
    with Origin() as origin:
        origin.serve("film", Resource(bytes(10), drip=(1, 0.05)))
        async with opened(origin.policy, idle_seconds=0.2) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "127.0.0.1", origin.port)
                assert await client.get("film") == bytes(10)
                client.leave()


@pytest.mark.gen_test
async def test_request_heads_are_bounded_in_size_and_time() -> None:
    async with opened(Policy(), head_seconds=0.2) as door:
        with door.admit(max_bytes=PLENTY) as pass_:
            reader, writer = await asyncio.open_connection(pass_.host, pass_.port)
            writer.write(b"CONNECT h:80 HTTP/1.1\r\nX: " + b"a" * 70_000)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 431")
            writer.transport.abort()
            slow = Client(*await asyncio.open_connection(pass_.host, pass_.port))
            slow.writer.write(b"CONNECT h:80 HT")
            assert await slow.ended() == b""
            garbage = Client(*await asyncio.open_connection(pass_.host, pass_.port))
            garbage.writer.write(b"\x16\x03\x01\r\n\r\n")
            assert b"400" in await garbage.ended()


@pytest.mark.gen_test
async def test_a_slow_reader_holds_back_the_server() -> None:
    size = 64 << 20
    with Origin() as origin:
        origin.serve("film", bytes(size))
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.connect(pass_, "127.0.0.1", origin.port)
                client.reader._limit = 1024  # type: ignore[attr-defined]  # stop reading early
                client.writer.write(b"GET /film HTTP/1.1\r\n\r\n")
                await client.reader.readuntil(b"\r\n\r\n")
                before = -1
                while before != door.usage(pass_).bytes:  # until nothing moves any more
                    before = door.usage(pass_).bytes
                    await asyncio.sleep(0.05)
                assert before < size // 2  # what the kernel's buffers take, not the whole film
                got = 0
                while got < size:
                    got += len(await client.reader.read(1 << 20))
                client.leave()


@pytest.mark.gen_test
async def test_absolute_form_is_one_request_of_a_closing_connection() -> None:
    with Origin() as origin:
        url = origin.serve("film", Resource(b"film", headers={"Connection": "keep-alive", "Keep-Alive": "timeout=9"}))
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.ask(pass_, f"GET {url}?a=b", "Host: h", "Proxy-Connection: keep-alive")
                assert client.status == 200
                assert "connection: close" in client.head.lower()
                assert "keep-alive" not in client.head.lower()
                # A second request on this connection is for nobody.
                client.writer.write(b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")
                assert await client.reader.readexactly(4) == b"film"
                client.leave()
        assert [seen.target for seen in origin.requests] == ["/film?a=b"]
        headers = origin.requests[0].headers
        assert headers["connection"] == "close"
        assert headers["host"] == f"127.0.0.1:{origin.port}"
        assert "proxy-authorization" not in headers and "proxy-connection" not in headers


@pytest.mark.gen_test
async def test_absolute_form_with_a_body_and_until_the_end() -> None:
    with Origin() as origin:
        url = origin.serve("form", Resource(b"answer" * 100_000, content_length=False, ranges=False))
        async with opened(origin.policy) as door:
            with door.admit(max_bytes=PLENTY) as pass_:
                client = await Client.ask(pass_, f"HEAD {url}")
                assert client.status == 200
                client.leave()
                opening = asyncio.ensure_future(Client.ask(pass_, f"POST {url}", "Content-Length: 3", "", "abcdef"))
                client = await opening
                assert await client.ended() == b"answer" * 100_000
        assert [seen.method for seen in origin.requests] == ["HEAD", "POST"]


@pytest.mark.gen_test
async def test_stopping_cuts_everything() -> None:
    with Origin() as origin:
        door = Door(origin.policy)
        with pytest.raises(RuntimeError), door.admit(max_bytes=1):
            pass
        await door.start()
        with door.admit(max_bytes=PLENTY) as pass_:
            client = await Client.connect(pass_, "127.0.0.1", origin.port)
            await door.stop()
            assert await client.ended() == b""
            await waited(origin, 0)
        await door.stop()


@pytest.mark.gen_test
async def test_stopping_while_clients_arrive() -> None:
    for _ in range(20):
        door = Door(Policy())
        await door.start()
        with door.admit(max_bytes=PLENTY) as pass_:
            arriving = [asyncio.ensure_future(asyncio.open_connection(pass_.host, pass_.port)) for _ in range(4)]
            await arriving[0]
            await door.stop()
            for each in await asyncio.gather(*arriving, return_exceptions=True):
                if not isinstance(each, BaseException):
                    assert await Client(*each).ended() == b""
