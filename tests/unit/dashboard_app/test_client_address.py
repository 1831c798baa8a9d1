"""For which address a request counts, straight and behind proxies."""

import logging
from ipaddress import ip_network

import pytest
from flask import Flask

from dashboard_app.client_address import client_address, is_within, warn_of
from sensorbus.runtime.logs import FoldRepeats

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


def address(remote: str, *said: str) -> str:
    """Return the address of a request that comes from `remote` and says these of its way."""
    headers = [("X-Forwarded-For", each) for each in said]
    with Flask("test").test_request_context(headers=headers, environ_base={"REMOTE_ADDR": remote}):
        return client_address(PROXIES)


@pytest.mark.parametrize(
    ("remote", "said", "counts"),
    [
        ("10.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("::ffff:10.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("10.0.0.1", ("192.0.2.9, 192.0.2.1",), "192.0.2.1"),  # the proxy adds the last one
        ("10.0.0.1", ("192.0.2.9", "192.0.2.1"), "192.0.2.1"),
        ("10.0.0.1", ("192.0.2.1, 10.0.0.2",), "192.0.2.1"),  # two proxies
        ("10.0.0.1", ("192.0.2.9, none",), "10.0.0.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("192.0.2.1", ("192.0.2.9",), "192.0.2.1"),  # nobody else is believed
        ("", ("192.0.2.9",), ""),
    ],
)
def test_a_named_proxy_says_who_asks(remote: str, said: tuple[str, ...], counts: str) -> None:
    """The last address that is no named proxy; what is none ends the search."""
    assert address(remote, *said) == counts


@pytest.mark.parametrize(
    ("addresses", "is_one"),
    [
        (("2001:db9:0:7::1", "2001:db9:0:7:ffff::2"), True),
        (("2001:db9:0:7::1", "2001:db9:0:8::1"), False),
        (("::ffff:192.0.2.1", "192.0.2.1"), True),
        (("::ffff:192.0.2.1", "::ffff:192.0.2.2"), False),
        (("192.0.2.1", "192.0.2.2"), False),
        (("fe80::1%eth0", "fe80::2%eth0"), True),
    ],
)
def test_an_address_of_ipv6_counts_for_its_network(addresses: tuple[str, str], is_one: bool) -> None:
    """A client has 2**64 of them."""
    assert (address(addresses[0]) == address(addresses[1])) is is_one


def test_a_proxy_of_ipv4_is_known_where_the_page_listens_on_ipv6_too() -> None:
    """Such a socket calls it ::ffff:10.0.0.1."""
    addresses = ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "::ffff:11.1.2.3", "2001:db9::1", "none", None)
    assert [is_within(each, PROXIES) for each in addresses] == [True] * 3 + [False] * 4


def test_of_what_comes_from_several_addresses_each_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Once in 10 s: nobody hides behind somebody who is loud."""
    log, fold = logging.getLogger("test"), FoldRepeats(clock_s=lambda: 100.0)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        warn_of(log, "nothing good from %s: %s", address, "why")
    told = [record.getMessage() for record in caplog.records if fold.filter(record)]
    assert told == ["nothing good from 192.0.2.1: why", "nothing good from 192.0.2.2: why"]
