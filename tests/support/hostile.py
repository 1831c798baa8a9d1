"""Requests that nobody of ours would send, from a seed.

Callback bodies bent in every place, odd paths and headers.
"""

import json
import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.support.ticks import tick_body

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLBACK: Final = "/_dash-update-component"
_METHODS: Final = ("POST",) * 12 + ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW")
_ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**63,
    10**400,
    1e308,
    "",
    "\x00",
    "\u202e\ud83d\ude00",
    "__proto__",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "' OR 1=1 --",
    "{{7*7}}",
    "x" * 5_000,
    [],
    {},
    [[]],
    {"": None},
)
_PATHS: Final = (
    "/",
    "/_dash-layout",
    "/_dash-dependencies",
    "/_dash-component-suites/dash/none.js",
    "/_dash-component-suites/%00/x.js",
    "/assets/..%2f..%2fapp.py",
    "/assets/%2e%2e/%2e%2e/etc/passwd",
    "/_favicon.ico",
    "/_reload-hash",
    "/_mcp",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/devices",
    "/device/%ff%fe",
    "//evil.example/",
    "/%",
    "/?%=",
)
_HEADERS: Final[tuple[dict[str, str], ...]] = (
    {},
    {},
    {},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=utf-7"},
    {"Origin": "http://["},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"X-Forwarded-For": "1.2.3.4, \xff"},
    {"X-Forwarded-Proto": "javascript"},
    {"Accept-Encoding": "br;q=0.000000001, gzip;q=nan"},
    {"Cookie": "a" * 3_000},
    {"If-None-Match": 'W/"\xff"', "If-Modified-Since": "never"},
    {"Range": "bytes=-1-"},
)


class Request(NamedTuple):
    """One request as it is sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Hostile:
    """A stream of requests that depends on its seed alone."""

    def __init__(self, seed: int) -> None:
        """Start anew."""
        self._random = random.Random(seed)  # noqa: S311  # a test that can be repeated
        self._kinds: tuple[Callable[[], bytes], ...] = (self._bent, self._bent, self._bent, self._noise, self._deep)

    def request(self) -> Request:
        """Return the next one."""
        choose = self._random.choice
        path = choose(_PATHS) if self._random.random() < 0.2 else _CALLBACK  # one in five
        headers = {"Content-Type": "application/json"} | choose(_HEADERS)
        return Request(choose(_METHODS), path, headers, choose(self._kinds)())

    def _bent(self) -> bytes:
        """Return a good body with some of its places replaced, removed or added to."""
        body = tick_body({"cursor": None, "detail": ["a"], "history": []})
        for _ in range(self._random.randint(0, 3)):
            self._bend(body)
        try:
            return json.dumps(body).encode()
        except RecursionError:
            return b"{}"

    def _bend(self, value: Any) -> None:
        while isinstance(value, dict | list) and value:
            key = self._random.choice(list(value) if isinstance(value, dict) else range(len(value)))
            if self._random.random() < 0.4 or not isinstance(value[key], dict | list):  # so deep at most
                break
            value = value[key]
        if not isinstance(value, dict | list) or not value:
            return
        odd = self._random.choice(_ODD_VALUES)
        change = self._random.randrange(3)
        if change == 0:
            del value[key]
        elif change == 1 or isinstance(value, list):
            value[key] = odd
        else:
            value[str(odd)[:50]] = odd

    def _noise(self) -> bytes:
        text = self._random.randbytes(self._random.randint(0, 200))
        return text if self._random.random() < 0.5 else b'{"output":"' + text  # every other one

    def _deep(self) -> bytes:
        depth = self._random.choice((10, 1_000, 60_000))
        return b"[" * depth + b"]" * depth
