"""From where somebody asks: an address that is counted and logged.

Behind a proxy that the settings name it is the one that the proxy says, or all browsers would have the same.
"""

import logging
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from flask import request

Networks = Sequence[IPv4Network | IPv6Network]


def client_address(proxies: Networks) -> str:
    """Return for which address a request counts: one of IPv6 is any of the 2**64 that a single client has."""
    address = _said(proxies)
    if not _is_address(address):
        return address
    known = ip_address(address)
    if isinstance(known, IPv6Address):
        return str(known.ipv4_mapped or f"{int(known) >> 64:x}::")
    return str(known)


def warn_of(log: logging.Logger, said: str, address: str, *values: object) -> None:
    """Warn of what came from an address, the first value of `said`; of the same each address has a line of its own."""
    log.warning(said, address, *values, extra={"fold_by": address})


def is_within(address: str | None, networks: Networks) -> bool:
    """Tell whether an address is in one of the networks."""
    try:
        known = ip_address(address or "")
    except ValueError:
        return False
    if isinstance(known, IPv6Address):  # a socket that listens on :: has IPv4's clients so
        known = known.ipv4_mapped or known
    return any(known in network for network in networks)


def _said(proxies: Networks) -> str:
    """Return the address that asks; of a named proxy, the one that it says, if it is not another named one."""
    address = request.remote_addr or ""
    for said in reversed(",".join(request.headers.getlist("X-Forwarded-For")).split(",")):
        if not is_within(address, proxies) or not _is_address(said.strip()):
            break
        address = said.strip()
    return address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
