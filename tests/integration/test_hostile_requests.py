"""Thousands of hostile requests to each listener as it is deployed.

Refused in a word, nothing told, nothing kept.
"""

import base64
import http.client
import logging
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from werkzeug.security import generate_password_hash

from sensorbus.contract.settings import Settings
from tests.support import nginx
from tests.support.certificates import Authority
from tests.support.dashboards import dashboard, fed_bus, send_readings
from tests.support.hostile import Claim, Hostile, password_claim, token_claim
from tests.support.needs import need
from tests.support.nginx import Nginx
from tests.support.oidc_provider import Provider
from tests.support.parts import child_pids, part, resident_bytes
from tests.support.real_kafka import free_ports
from tests.support.strangers import LOG_BYTES, MEMORY_BYTES, Listener, held_open, send
from tests.support.ticks import get
from tests.support.waiting import wait_until

ONCE: Final = 300  # what is loaded once is loaded by so many
MANY: Final = pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])
FEW_OR_MANY: Final = pytest.mark.parametrize("number", [500, MANY])
ANSWERED_WITHIN_S: Final = 1.0
HELD_OPEN: Final = 100
MOSTLY_GET: Final = ("GET",) * 8 + ("HEAD", "POST", "PUT", "BREW")
PREFIX: Final = "/temperature/"
OPERATIONS: Final = ("/metrics", "/healthz", "/readyz", "/metrics?name[]=%00&x", "/metrics/", "/readyz;x")
WAYS_BACK: Final = (
    "/",
    "/account",
    "/sign-out",
    "/signed-out",
    "/sign-in/back",
    "/sign-in/back?state=x&code=y",
    "/sign-in/back?error=access_denied&error_description=%3Cscript%3E&state=x",
    "/sign-in/back?state=%00%ff&code=%00&iss=http://evil.example",
    "/sign-in/back?state[]=x&state=y&state=z&code",
    f"/sign-in/back?state={'x' * 5_000}&code={'y' * 2_000}",
)
_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Give a bus with 100 readings."""
    with fed_bus(tmp_path_factory.mktemp("state"), 100) as settings:
        yield settings


def attack(listener: Listener, pids: Sequence[int], number: int, **kinds: Any) -> Counter[int]:
    """Send so many hostile requests of these kinds; the processes live and do not grow."""
    send(listener, Hostile(0, **kinds), ONCE)
    before = [resident_bytes(pid) for pid in pids]
    statuses = send(listener, Hostile(number, **kinds), number)
    grown = [resident_bytes(pid) - held for pid, held in zip(pids, before, strict=True)]
    _log.info("%d hostile requests: %s; grown by %s bytes", number, dict(sorted(statuses.items())), grown)
    assert max(grown) < MEMORY_BYTES
    return statuses


def soon(url: str) -> int:
    """Return the status of an answer that comes within a second."""
    started_s = time.monotonic()
    status, _ = get(url)
    assert time.monotonic() - started_s < ANSWERED_WITHIN_S
    return status


@pytest.mark.embedded
@pytest.mark.parametrize("number", [1_000, MANY])
def test_hostile_requests_are_refused(fresh_settings: Settings, tmp_path: Path, number: int) -> None:
    """No 500, no traceback, no growth of log or memory; whoever ticks properly is served as before."""
    send_readings(fresh_settings, 0, 100)
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        workers = page.worker_pids()
        statuses = attack(Listener(page.settings.dashboard_port), workers, number)
        assert {400, 403, 404, 405, 415} <= statuses.keys()
        assert page.worker_pids() == workers
        browser = page.ticker()
        browser.tick()
        assert len(browser.readings) == 100
        assert soon(f"{page.root}/readyz") == 200
    assert "Traceback" not in page.part.said()
    assert len(page.part.said()) < LOG_BYTES


@pytest.mark.embedded
@FEW_OR_MANY
@pytest.mark.parametrize("words", [("simulator",), ("processors", "alert")], ids=lambda words: words[-1])
def test_the_port_for_health_and_metrics_refuses_them(
    bus: Settings, tmp_path: Path, words: tuple[str, ...], number: int
) -> None:
    """Of a job and of the simulator; clients that stop in the middle of a request keep nobody waiting."""
    settings = bus.model_copy(update={"ops_port": free_ports()[0], "state_dir": tmp_path})
    listener, root = Listener(settings.ops_port), f"http://127.0.0.1:{settings.ops_port}"
    each = part(settings, tmp_path / "part.log", *words)
    with each:
        wait_until(lambda: get(f"{root}/readyz")[0] == 200, 30, "the part to be ready", each.log)
        assert each.process is not None
        with held_open(listener, b"GET /metrics HTTP/1.1\r\nHost: loc", HELD_OPEN):
            statuses = attack(listener, [each.process.pid], number, aims=OPERATIONS, methods=MOSTLY_GET)
            assert [soon(f"{root}{path}") for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        assert {200, 404, 405} <= statuses.keys()
        each.stop()
    assert "Traceback" not in each.said()
    assert len(each.said()) < LOG_BYTES


@pytest.mark.embedded
def test_clients_that_do_not_hang_up_keep_nobody_waiting(bus: Settings, tmp_path: Path) -> None:
    """After a wrong request the page ends the connection, and goes on whether or not they do."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        listener = Listener(page.settings.dashboard_port)
        with held_open(listener, b"no request\r\n\r\n", HELD_OPEN):
            assert [soon(f"{page.root}/healthz") for _ in range(20)] == [200] * 20
    assert len(page.part.said()) < LOG_BYTES


@pytest.mark.embedded
@pytest.mark.parametrize(
    "part_sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: loc",
        b"POST /_dash-update-component HTTP/1.1\r\nHost: here\r\nContent-Length: 900\r\n\r\n{",
        b"POST /_dash-update-component HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\nGET /",
    ],
    ids=["nothing", "head", "body", "no length", "chunks", "second request"],
)
def test_clients_that_stop_in_the_middle_keep_nobody_waiting(bus: Settings, tmp_path: Path, part_sent: bytes) -> None:
    """Of the page, whose threads are 16: none is given to them."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        with held_open(Listener(page.settings.dashboard_port), part_sent, HELD_OPEN):
            assert [soon(f"{page.root}/healthz") for _ in range(20)] == [200] * 20
    assert len(page.part.said()) < LOG_BYTES


def authorized(port: int, name: str) -> int:
    """Return the status that a user gets whose password is `right`, from an address that has tried no other."""
    given = base64.b64encode(f"{name}:right".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, ANSWERED_WITHIN_S, ("127.0.0.2", 0))
    connection.request("GET", "/", headers={"Authorization": f"Basic {given}"})
    with connection.getresponse() as answer:
        answer.read()
    connection.close()
    return answer.status


@pytest.mark.embedded
@FEW_OR_MANY
def test_the_sign_in_by_password_refuses_them(bus: Settings, tmp_path: Path, number: int) -> None:
    """401, and 429 for who goes on; who has a password is let in within a second."""
    (tmp_path / "users").write_text(f"ann:viewer:{generate_password_hash('right')}\n")
    page = dashboard(bus, tmp_path, dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
    with page.part:
        page.wait_listening()
        workers = page.worker_pids()
        statuses = attack(Listener(page.settings.dashboard_port), workers, number, claim=password_claim)
        assert {400, 401, 429} <= statuses.keys()
        assert page.worker_pids() == workers
        assert (authorized(page.settings.dashboard_port, "ann"), soon(f"{page.root}/healthz")) == (200, 200)
    assert "Traceback" not in page.part.said()
    assert len(page.part.said()) < LOG_BYTES


def with_a_way_there(root: str) -> tuple[Claim, str]:
    """Return a claim that now and then brings the cookie of who was sent to the provider, and the state in it."""
    sent = requests.get(f"{root}/", headers={"Accept": "text/html"}, allow_redirects=False, timeout=5)
    cookie = sent.headers["Set-Cookie"].partition(";")[0]
    (state,) = parse_qs(urlsplit(sent.headers["Location"]).query)["state"]
    return lambda chance: {"Cookie": cookie} if chance.random() < 0.5 else token_claim(chance), state


@pytest.mark.embedded
@FEW_OR_MANY
def test_the_sign_in_at_a_provider_refuses_them(bus: Settings, tmp_path: Path, number: int) -> None:
    """Made-up ways back, codes, tokens and cookies; who really comes back is let in within a second."""
    with Provider({"preferred_username": "ann", "roles": ["sensorbus-viewer"]}) as provider:
        page = dashboard(
            bus,
            tmp_path,
            dashboard_oidc_audience="programs",
            **provider.of_a_page(),
        )
        with page.part:
            page.wait_listening()
            workers = page.worker_pids()
            claim, state = with_a_way_there(page.root)
            aims = (*WAYS_BACK, f"/sign-in/back?state={state}&code=x", f"/sign-in/back?state={state}&code=%00%ff")
            listener = Listener(page.settings.dashboard_port)
            statuses = attack(listener, workers, number, aims=aims, methods=MOSTLY_GET, claim=claim)
            assert {302, 400, 401} <= statuses.keys()
            assert page.worker_pids() == workers
            started_s = time.monotonic()
            with requests.Session() as ann:
                sent = ann.get(f"{page.root}/", headers={"Accept": "text/html"}, allow_redirects=False, timeout=5)
                cookie = sent.headers["Set-Cookie"].partition(";")[0]  # it is Secure, and we come without TLS
                back = requests.get(sent.headers["Location"], allow_redirects=False, timeout=5).headers["Location"]
                assert (
                    requests.get(back, headers={"Cookie": cookie}, allow_redirects=False, timeout=5).status_code == 303
                )
            assert time.monotonic() - started_s < ANSWERED_WITHIN_S
    assert "Traceback" not in page.part.said()
    assert len(page.part.said()) < LOG_BYTES


@pytest.mark.embedded
@pytest.mark.parametrize("number", [pytest.param(500, marks=pytest.mark.slow), MANY])
def test_nginx_refuses_them(bus: Settings, tmp_path: Path, number: int) -> None:
    """From 200 addresses, so that most get through the limits; half-open connections stay with nginx."""
    need(nginx.why_not())
    authority = Authority(tmp_path)
    page = dashboard(bus, tmp_path, dashboard_url_prefix=PREFIX)
    proxy = Nginx(tmp_path, authority.issue("localhost"), page.settings.dashboard_port)
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    listener = Listener(proxy.port, trust, from_many=True)
    aims = (PREFIX, f"{PREFIX}_dash-update-component", f"{PREFIX}_dash-layout", "/temperature", "/metrics")
    with page.part, proxy:
        page.wait_ready()
        workers = page.worker_pids()
        pids = [*workers, proxy.pid, *child_pids(proxy.pid)]
        with held_open(listener, f"GET {PREFIX} HTTP/1.1\r\nHost: loc".encode(), HELD_OPEN):
            statuses = attack(listener, pids, number, aims=aims)
            assert {200, 400, 404, 405} <= statuses.keys()
            connection = http.client.HTTPSConnection("localhost", proxy.port, timeout=ANSWERED_WITHIN_S, context=trust)
            connection.request("GET", PREFIX)
            assert connection.getresponse().status == 200
            connection.close()
        assert page.worker_pids() == workers
    assert "Traceback" not in page.part.said()
    assert len(page.part.said()) < LOG_BYTES
    assert "emerg" not in proxy.error_log.read_text()
