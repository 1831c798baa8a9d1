"""The page behind the real nginx with deploy/nginx.conf.

TLS, prefix, forwarded headers, slow and wrong clients.
"""

import base64
import http.client
import io
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import nginx
from tests.support.certificates import Authority
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.needs import need
from tests.support.nginx import Nginx
from tests.support.real_kafka import free_ports
from tests.support.ticks import get, tick_body
from tests.support.waiting import wait_until

PREFIX = "/temperature/"
#: Each of them once, whoever answers.
SECURITY = ("Content-Security-Policy", "X-Content-Type-Options", "Strict-Transport-Security")
#: What nginx allows on its own answers.
NOTHING = "default-src 'none'; frame-ancestors 'none'"
TICK = f"{PREFIX}_dash-update-component"
ASKED = json.dumps(tick_body({"cursor": None, "detail": None, "history": []}))
HALF_SENT = 200
#: What nginx lets one address do: so many requests at once, then so many a second; so many connections with a request.
BURST, RATE_HZ, CONNECTIONS = 200, 100, 100

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@dataclass
class Site:
    """A page, the nginx before it, and a client's trust in its certificate."""

    page: Dashboard
    nginx: Nginx
    trust: ssl.SSLContext

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
        """Return status, text and headers over a TLS connection of its own."""
        connection = http.client.HTTPSConnection("localhost", self.nginx.port, timeout=10, context=self.trust)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body or None, given)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def ask_raw(self, request: str) -> bytes:
        """Return the beginning of the answer to bytes that no client of ours would send."""
        with (
            socket.create_connection(("localhost", self.nginx.port), timeout=10) as plain,
            self.trust.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(request.encode())
            return connection.recv(65_536)

    def tick(self, origin: str | None = None) -> int:
        """Return the status of a tick."""
        return self.ask("POST", TICK, ASKED, Content_Type="application/json", **({"Origin": origin} if origin else {}))[
            0
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a page with 200 readings behind nginx."""
    need(nginx.why_not())
    folder = tmp_path_factory.mktemp("site")
    authority = Authority(folder)
    with ExitStack() as stack:
        settings = stack.enter_context(fed_bus(folder, 200))
        page = dashboard(settings, folder, dashboard_url_prefix=PREFIX, dashboard_workers=2)
        stack.enter_context(page.part)
        page.wait_ready()
        proxy = stack.enter_context(Nginx(folder, authority.issue("localhost"), page.settings.dashboard_port))
        yield Site(page, proxy, ssl.create_default_context(cafile=str(authority.certificate)))


def test_the_page_comes_over_tls(site: Site) -> None:
    """The page, its scripts and its ticks, below the prefix; browsers are told to stay with https."""
    status, text, headers = site.ask("GET", PREFIX)
    assert (status, "Sensorbus" in text) == (200, True)
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["Server"] == "nginx"
    assert site.tick() == 200
    scripts = [word.split('"')[1] for word in text.split("<script ") if word.startswith('src="')]
    assert scripts
    assert {site.ask("GET", script)[0] for script in scripts} == {200}


def secured(headers: http.client.HTTPMessage) -> str:
    """Return the policy of an answer that has each header of security exactly once."""
    values = [headers.get_all(name) or [] for name in SECURITY]
    assert [len(each) for each in values] == [1, 1, 1], headers.as_string()
    assert [values[1], values[2]] == [["nosniff"], ["max-age=31536000"]]
    return str(values[0][0])


def headers_in(answer: bytes) -> http.client.HTTPMessage:
    """Return the headers of an answer's bytes."""
    reader = io.BytesIO(answer)
    reader.readline()
    return http.client.parse_headers(reader)


def test_every_answer_has_the_headers_of_security_once(site: Site) -> None:
    """The page's own stay as they are, its refusals too; what nginx answers by itself allows nothing."""
    assert secured(site.ask("GET", PREFIX)[2]).startswith("default-src 'self'")
    assert secured(site.ask("GET", f"{PREFIX}healthz")[2]) != NOTHING  # the page's 404
    for path in ("/", "/temperature", f"{PREFIX}?{'x' * 9_000}"):  # 404, 308, 414
        assert secured(site.ask("GET", path)[2]) == NOTHING
    assert secured(site.ask("GET", PREFIX, X_Large="x" * 9_000)[2]) == NOTHING
    announced = f"POST {TICK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
    assert secured(headers_in(site.ask_raw(announced))) == NOTHING  # 413


def test_a_tick_of_the_pages_own_origin_gets_through(site: Site) -> None:
    """The page compares Origin with the Host that nginx hands on; another site's is refused."""
    assert site.tick(f"https://localhost:{site.nginx.port}") == 200
    assert site.tick("https://evil.example") == 403


def test_plain_http_is_sent_to_https(site: Site) -> None:
    """308, with the path."""
    connection = http.client.HTTPConnection("localhost", site.nginx.plain_port, timeout=10)
    connection.request("GET", f"{PREFIX}?x=1")
    answer = connection.getresponse()
    assert answer.headers.get_all("Content-Security-Policy") == [NOTHING]
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert (answer.status, answer.headers["Location"]) == (308, f"https://localhost{PREFIX}?x=1")
    connection.close()


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/assets/dom.js", f"{PREFIX}healthz"])
def test_what_is_not_the_page_is_not_there(site: Site, path: str) -> None:
    """Probes and metrics are for those inside."""
    assert site.ask("GET", path)[0] == 404


def test_forwarded_headers_of_a_client_change_nothing(site: Site) -> None:
    """The proxy sets its own: who claims to have come by http still gets the header that only https gets."""
    claims = {"X_Forwarded_Proto": "http", "X_Forwarded_Ssl": "off", "X_Forwarded_Host": "evil.example"}
    status, text, headers = site.ask("GET", PREFIX, **claims, X_Forwarded_For="10.9.8.7")
    assert (status, "evil" in text, "Strict-Transport-Security" in headers) == (200, False, True)


def test_ticks_are_not_in_nginxs_log_but_failures_are(site: Site) -> None:
    """A line per second and tab says nothing."""
    assert site.tick() == 200
    assert site.tick("https://evil.example") == 403
    site.ask("GET", "/marker-of-the-log")
    wait_until(lambda: "marker-of-the-log" in site.nginx.access_log.read_text(), 5, "nginx to write its log")
    ticks = [line for line in site.nginx.access_log.read_text().splitlines() if "_dash-update-component" in line]
    assert ticks
    assert all(" 200 " not in line for line in ticks)


def test_a_large_body_and_large_headers_are_refused(site: Site) -> None:
    """413 and 400 by nginx, before a worker sees them."""
    announced = f"POST {TICK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
    assert site.ask_raw(announced).startswith(b"HTTP/1.1 413 ")
    assert site.ask("GET", PREFIX, X_Large="x" * 9_000)[0] in {400, 431}
    assert site.ask("GET", f"{PREFIX}?{'x' * 9_000}")[0] == 414


def test_two_lengths_of_one_body_are_refused(site: Site) -> None:
    """A request that two servers would cut differently smuggles a second one: nginx and the page refuse it alike."""
    smuggled = (
        f"POST {TICK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert site.ask_raw(smuggled).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", site.page.settings.dashboard_port), timeout=10) as direct:
        direct.sendall(smuggled.encode())
        assert direct.recv(65_536).startswith(b"HTTP/1.1 400 ")


def seconds_of(status: Callable[[], int]) -> float:
    """Return how long an answer takes; it is 200."""
    started_s = time.monotonic()
    assert status() == 200
    return time.monotonic() - started_s


def clients(site: Site, number: int, request: str, stack: ExitStack) -> list[ssl.SSLSocket]:
    """Return so many connections on each of which this much of a request was sent."""
    made = []
    for _ in range(number):
        plain = stack.enter_context(socket.create_connection(("localhost", site.nginx.port), timeout=10))
        made.append(stack.enter_context(site.trust.wrap_socket(plain, server_hostname="localhost")))
        made[-1].sendall(request.encode())
    return made


def test_half_sent_requests_keep_nobody_waiting(site: Site) -> None:
    """200 clients whose requests stop in the middle stay with nginx; others, and the probe, wait less than a second."""
    with ExitStack() as stack:
        slow = clients(site, HALF_SENT, f"GET {PREFIX} HTTP/1.1\r\nHost: loc", stack)
        assert seconds_of(lambda: site.ask("GET", PREFIX)[0]) < 1
        assert seconds_of(site.tick) < 1
        assert seconds_of(lambda: get(f"{site.page.root}/healthz")[0]) < 1  # nginx hands no probe on
        for client in slow:
            client.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):  # neither answered nor closed: they were there all the time
                client.recv(1)
        slow[0].settimeout(10)
        slow[0].sendall(b"alhost\r\n\r\n")
        assert slow[0].recv(65_536).startswith(b"HTTP/1.1 200 ")


def another(site: Site, folder: Path, *ports: int) -> tuple[Nginx, Site]:
    """Return one more nginx, before pages on these ports, and the site that it makes."""
    authority = Authority(folder)
    proxy = Nginx(folder, authority.issue("localhost"), *ports)
    return proxy, Site(site.page, proxy, ssl.create_default_context(cafile=str(authority.certificate)))


def test_a_flood_of_one_address_is_slowed_down(site: Site, tmp_path: Path) -> None:
    """429 beyond the burst and 100 requests a second; a little later the same address is served again."""
    proxy, flooded = another(site, tmp_path, site.page.settings.dashboard_port)
    with proxy:
        connection = http.client.HTTPSConnection("localhost", proxy.port, timeout=10, context=flooded.trust)
        statuses: list[int] = []
        started_s = time.monotonic()
        while not statuses or (statuses[-1] == 200 and len(statuses) < 3_000):
            connection.request("GET", f"{PREFIX}_favicon.ico?v=1")
            with connection.getresponse() as answer:
                answer.read()
                statuses.append(answer.status)
                policy = secured(answer.headers)
        took_s = time.monotonic() - started_s
        connection.close()
        assert policy == NOTHING
        assert BURST < len(statuses) <= BURST + RATE_HZ * took_s + 2
        assert statuses[-1] == 429
        wait_until(lambda: flooded.tick() == 200, 10, "nginx to serve again")


def test_an_address_has_so_many_connections_and_no_more(site: Site) -> None:
    """100 with a request that is not answered yet; another one is 429, and let in when one of them has gone."""
    with ExitStack() as stack:
        held = clients(
            site, CONNECTIONS, f"POST {TICK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", stack
        )
        wait_until(lambda: site.ask("GET", PREFIX)[0] == 429, 5, "nginx to have read them")
        assert secured(site.ask("GET", PREFIX)[2]) == NOTHING
        held[0].close()
        wait_until(lambda: site.ask("GET", PREFIX)[0] == 200, 5, "nginx to serve again")


def test_a_page_that_is_away_is_a_502_not_a_hang(site: Site, tmp_path: Path) -> None:
    """And another host is asked when there is one, for a POST too."""
    nobody, port = free_ports()[0], site.page.settings.dashboard_port
    (tmp_path / "two").mkdir()
    proxy, lonely = another(site, tmp_path, nobody)
    with proxy:
        status, _, headers = lonely.ask("POST", TICK, ASKED, Content_Type="application/json")
        assert (status, secured(headers)) == (502, NOTHING)
    proxy, both = another(site, tmp_path / "two", nobody, port)
    with proxy:
        assert [both.tick() for _ in range(6)] == [200] * 6


def test_a_user_is_named_by_nginx_and_by_nobody_else(site: Site, tmp_path: Path) -> None:
    """With nginx's own sign-in: 401 without a password; a header of the client's is replaced."""
    settings = site.page.settings.model_copy(update={"dashboard_sign_in": "proxy"})
    page = dashboard(settings, tmp_path, dashboard_url_prefix=PREFIX)
    proxy, known = another(site, tmp_path, page.settings.dashboard_port)
    with page.part, proxy:
        page.wait_listening()  # gunicorn takes a request in before its worker can answer it
        assert known.ask("GET", PREFIX)[0] == 401
        assert known.ask("GET", PREFIX, X_Forwarded_User="bob")[0] == 401
        (tmp_path / "htpasswd").write_text("ann:{PLAIN}right\nvoilà 张伟:{PLAIN}right\n", encoding="utf-8")
        file = tmp_path / "site.conf"
        text = re.sub(r"# (auth_basic(?:_user_file)? )", r"\1", file.read_text())
        file.write_text(text.replace("/etc/nginx/sensorbus.htpasswd", str(tmp_path / "htpasswd")))
        proxy.reload()
        right = f"Basic {base64.b64encode(b'ann:right').decode()}"
        wait_until(lambda: known.ask("GET", PREFIX, Authorization=right)[0] == 200, 10, "nginx to ask", page.part.log)
        # nginx's old worker may still answer a connection or two.
        wait_until(
            lambda: all(known.ask("GET", PREFIX)[2]["WWW-Authenticate"] for _ in range(20)),
            20,
            "the new workers alone",
            page.part.log,
        )
        given = f"Basic {base64.b64encode('voilà 张伟:right'.encode()).decode()}"
        account = known.ask("GET", f"{PREFIX}account", Authorization=given)
        assert (account[0], "signed in as voilà 张伟, with" in account[1]) == (200, True)
        assert known.ask("GET", PREFIX)[2]["WWW-Authenticate"] == 'Basic realm="Sensorbus"'
        assert known.ask("GET", PREFIX, X_Forwarded_User="bob")[0] == 401
