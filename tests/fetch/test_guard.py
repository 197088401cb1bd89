"""The one function that judges an address, in all spellings, and the lookup that goes with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway_server.fetch.guard import AddressRefused, Policy, UnknownHost, lookup, resolve

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "100.100.100.200",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.7",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.9",
    "203.0.113.5",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::ffff:0.0.0.0",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:100.64.0.1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::10.1.1.1",
    "64:ff9b:1::127.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:0:7f00:1::1",
    "2001:0:808:808:0:0:80ff:fffe",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::1%1",
    "2606:4700::1%eth0",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
    "8000::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert Policy().refusal(address, 80)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert Policy().refusal(address, 443) is None


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3.4 ", "[::1]", "1.2.3.4:80"]
)
def test_only_literal_addresses_are_judged(text: str) -> None:
    assert Policy().refusal(text, 80) == "not a literal address"


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_what_carries_an_ipv4_address_is_never_better_than_it(address: object) -> None:
    plain = Policy().refusal(str(address), 80)
    for spelling in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert (Policy().refusal(spelling, 80) is None) == (plain is None)
    assert Policy().refusal(f"::{address}", 80)


def test_allowed_networks_and_addresses() -> None:
    policy = Policy(
        allow_networks=(ip_network("10.1.0.0/16"), ip_network("fd00::/64")), allow_addresses=(("127.0.0.1", 8080),)
    )
    assert policy.refusal("10.1.2.3", 80) is None
    assert policy.refusal("::ffff:10.1.2.3", 80) is None
    assert policy.refusal("10.2.2.3", 80)
    assert policy.refusal("fd00::9", 80) is None
    assert policy.refusal("fd00:0:0:1::9", 80)
    assert policy.refusal("127.0.0.1", 8080) is None
    assert policy.refusal("::ffff:127.0.0.1", 8080) is None
    assert policy.refusal("127.0.0.1", 8081)
    assert policy.refusal("127.0.0.2", 8080)
    assert policy.refusal("127.0.0.1", 0)
    assert policy.refusal("fd00::9%eth0", 80)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "0177.0.1",
        "127.0.0.1.",
        "00000177.1",
        "0",
        "0.0",
        "0x0",
        "10.1",
        "167772161",
        "0xa000001",
        "192.168.257",
        "3232235777",
        "0xc0a80101",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "0:0:0:0:0:ffff:7f00:1",
        "fe80::1%lo",
        "localhost",
        "localhost.",
        "LOCALHOST",
    ],
)
def test_private_hosts_through_the_real_resolver(host: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        asyncio.run(resolve(host, 80, Policy()))
    assert caught.value.message.startswith(f"{host} is not a public address")


@pytest.mark.parametrize("host", ["1.1.1.1", "16843009", "0x1010101", "01.01.01.01", "1.1.257"])
def test_numeric_public_hosts_become_literals(host: str) -> None:
    assert asyncio.run(resolve(host, 80, Policy())) == ("1.1.1.1",)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a\x00b", "a" * 64, "256.256.256.256", "１２７.０.０.x"])
def test_unknown_hosts(host: str) -> None:
    with pytest.raises(UnknownHost):
        asyncio.run(resolve(host, 80, Policy(), seconds=10))


def test_one_private_address_refuses_the_name() -> None:
    async def resolver(host: str) -> Sequence[str]:
        return ["8.8.8.8", "2606:4700::1", "10.0.0.7"]

    with pytest.raises(AddressRefused) as caught:
        asyncio.run(resolve("films.example", 80, Policy(), resolver=resolver))
    assert "10.0.0.7" not in caught.value.message


def test_a_slow_name_is_given_up() -> None:
    async def resolver(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(UnknownHost, match="in time"):
        asyncio.run(resolve("films.example", 80, Policy(), resolver=resolver, seconds=0.05))


def test_a_name_without_addresses_is_unknown() -> None:
    async def resolver(host: str) -> Sequence[str]:
        return []

    with pytest.raises(UnknownHost):
        asyncio.run(resolve("films.example", 80, Policy(), resolver=resolver))


def test_names_are_looked_up_off_the_loop() -> None:
    assert "127.0.0.1" in asyncio.run(lookup("localhost"))
