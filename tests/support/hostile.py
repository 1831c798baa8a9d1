"""Requests that nobody of ours would send, from a seed.

Callback bodies bent in every place, odd paths and headers; bytes that are no HTTP; odd names, passwords and tokens.
"""

import base64
import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from tests.support.ticks import tick_body

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
    "/assets/./dom.js?m=1",
    "/assets/x/../dom.js?m=1",
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
    {"Accept": "application/openmetrics-text; version=x"},
    {"Accept": "text/html", "Host": "evil.example:x"},
)
_LINES: Final = (
    b"GET",
    b"GET /",
    b"GET  /healthz  HTTP/1.1",
    b"GET /healthz HTTP/0.9",
    b"GET /healthz HTTP/9.9",
    b"GET /healthz HTTP/1.1.1",
    b"GET /healthz HTTP/-1.1",
    b"GET /healthz HTTP/1.\xb2",
    b"GET /\x00\xff HTTP/1.1",
    b"GET http://evil.example/ HTTP/1.1",
    b"GET " + b"/" * 70_000 + b" HTTP/1.1",
    b"CONNECT evil.example:443 HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"get /healthz HTTP/1.1",
    b"\x00 /healthz HTTP/1.1",
    b"\r\n\r\n\r\nGET /healthz HTTP/1.1",
)
_HEADER_LINES: Final = (
    b"Host: a\r\nHost: b",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 4\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: x",
    b"Transfer-Encoding: chunked, chunked",
    b"Expect: 100-continue\r\nContent-Length: 3",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x",
    b"no colon",
    b": no name",
    b"X\x00: y",
    b"X : y",
    b"X: y\r\n folded: z",
    b"X: " + b"x" * 70_000,
    b"X: y\r\n" * 300 + b"X: y",
    b"X: y\nX: z",
    b"Cookie: " + b"a=b; " * 1_000,
)
_CHUNKS: Final = (b"zz\r\n", b"-1\r\n", b"5\r\nabc", b"f" * 40 + b"\r\nx", b"0" * 9_000, b"1;" + b"x" * 9_000)
_TLS_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Request(NamedTuple):
    """One request as it is sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


#: Returns the headers by which a stranger says who he is.
Claim = Callable[[random.Random], dict[str, str]]


class Hostile:
    """A stream of requests that depends on its seed alone; four of five go to one of the `aims`."""

    def __init__(
        self,
        seed: int,
        aims: Sequence[str] = (_CALLBACK,),
        methods: Sequence[str] = _METHODS,
        claim: Claim | None = None,
    ) -> None:
        """Start anew."""
        self._random = random.Random(seed)  # noqa: S311  # a test that can be repeated
        self._aims, self._methods, self._claim = aims, methods, claim
        self._kinds: tuple[Callable[[], bytes], ...] = (self._bent, self._bent, self._bent, self._noise, self._deep)

    def request(self) -> Request:
        """Return the next one."""
        choose = self._random.choice
        path = choose(_PATHS if self._random.random() < 0.2 else self._aims)
        headers = {"Content-Type": "application/json"} | choose(_HEADERS)
        headers |= self._claim(self._random) if self._claim else {}
        return Request(choose(self._methods), path, headers, choose(self._kinds)())

    def is_raw(self) -> bool:
        """Tell whether the next one is of bytes: one in four."""
        return self._random.random() < 0.25

    def raw(self) -> bytes:
        """Return the next bytes that no client of HTTP sends, or the beginning of what one does."""
        choose, begin = self._random.choice, b"POST " + self._random.choice(self._aims).encode()
        kinds: tuple[Callable[[], bytes], ...] = (
            lambda: self._random.randbytes(self._random.randint(0, 300)),
            lambda: _TLS_HELLO + self._random.randbytes(200),
            lambda: choose(_LINES) + b"\r\nHost: localhost\r\n\r\n",
            lambda: begin + b" HTTP/1.1\r\n" + choose(_HEADER_LINES) + b"\r\n\r\nabc",
            lambda: begin + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + choose(_CHUNKS),
            lambda: begin + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
        )
        data = choose(kinds)()
        return data if self._random.random() < 0.8 else data[: self._random.randint(0, len(data))]

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
        odd = copy.deepcopy(self._random.choice(_ODD_VALUES))  # it is bent later, perhaps
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


def password_claim(chance: random.Random) -> dict[str, str]:
    """Return a wrong name and password, or what is none."""
    number = chance.randrange(1_000_000)
    given = chance.choice(
        (f"ann:{number}", f"user-{number}:x", f"ann:{'x' * 5_000}", "ann", ":", "\x00:\x00", ":x" * 9)
    )
    encoded = base64.b64encode(given.encode()).decode()
    return {
        "Authorization": chance.choice(
            (
                f"Basic {encoded}",
                f"Basic {encoded}",
                f"basic {encoded[:-1]}",
                f"Basic {base64.b64encode(chance.randbytes(40)).decode()}",
                "Basic",
                "Basic \xff",
                f"Basic {'A' * 5_000}",
                'Digest username="ann", nonce="", response=""',
                "Bearer x",
                "",
            )
        )
    }


def token_claim(chance: random.Random) -> dict[str, str]:
    """Return what is no token and no session."""
    header = chance.choice(
        (
            {"alg": "none"},
            {"alg": "HS256", "kid": "one"},
            {"alg": "RS256", "kid": ["one"]},
            {"alg": "RS256", "kid": str(chance.random())},
            {"alg": "RS256", "kid": "one", "crit": ["exp"], "jku": "http://evil.example/"},
            {"alg": {}, "zip": "DEF"},
            {"alg": "RSA-OAEP", "enc": "A128GCM"},
            ["alg"],
            "alg",
            None,
        )
    )
    claims: Any = chance.choice(({"sub": "x", "exp": 10**400, "aud": []}, {"iss": {}}, [], "x", 1e308))
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    parts += [base64.urlsafe_b64encode(chance.randbytes(chance.choice((0, 64, 256)))).decode().rstrip("=")]
    token = ".".join(parts[: chance.randint(1, 3)] + ["x"] * chance.choice((0, 0, 0, 2)))
    return chance.choice(
        (
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Bearer {'.' * 5_000}"},
            {"Authorization": "Bearer \xff"},
            {"Cookie": f"sensorbus_session={token}"},
            {"Cookie": f"sensorbus_session=.{token}; sensorbus_session=", "Accept": "text/html"},
            {"Accept": "text/html"},
        )
    )
