"""Sign-in at a provider as a person does it.

Real nginx with TLS, real gunicorn, real Chromium.
"""

import re
import signal
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect
from werkzeug.security import generate_password_hash

from tests.browser.conftest import Bus, keep
from tests.support import nginx
from tests.support.axe import serious_faults
from tests.support.certificates import Authority
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.needs import need
from tests.support.nginx import Nginx
from tests.support.oidc_provider import Provider

PREFIX = "/temperature/"
TIMEOUT_MS = 15_000


@dataclass
class Site:
    """A page behind nginx that sends its visitors to a provider."""

    page: Dashboard
    provider: Provider
    home: str


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give a page with 50 readings for which the provider names ann, an operator."""
    need(nginx.why_not())
    claims = {"preferred_username": "ann", "roles": ["sensorbus-operator"]}
    with fed_bus(tmp_path, 50) as settings, Provider(claims) as provider:
        page = dashboard(
            settings,
            tmp_path,
            dashboard_url_prefix=PREFIX,
            dashboard_workers=2,
            **provider.of_a_page(),
        )
        proxy = Nginx(tmp_path, Authority(tmp_path).issue("localhost"), page.settings.dashboard_port)
        with page.part, proxy:
            page.wait_listening()
            yield Site(page, provider, f"https://localhost:{proxy.port}{PREFIX}")


def _keep_phone(tab: Page, name: str) -> None:
    """Keep a screenshot of a page as a phone in the dark has it."""
    wide = tab.viewport_size
    assert wide is not None
    tab.set_viewport_size({"width": 360, "height": 640})
    tab.emulate_media(color_scheme="dark")
    keep(tab, name)
    tab.set_viewport_size(wide)


def _without_challenge(route: Route) -> None:
    """Let a browser show what it shows to who closes its question for a password, which this one cannot ask."""
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name != "www-authenticate"}
    route.fulfill(response=answer, headers=headers)


def test_the_pages_around_a_password_have_no_serious_fault(chromium: Browser, bus: Bus, tmp_path: Path) -> None:
    """Of who is signed in, of who is not, and of who was wrong too often."""
    (tmp_path / "users").write_text(f"ann:viewer:{generate_password_hash('right', method='scrypt:1024:8:1')}\n")
    page = dashboard(bus.settings, tmp_path, dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
    with page.part:
        page.wait_listening()
        for password, path, heading, attempts in (
            ("right", "account", "Account", 1),
            ("wrong", "", "Not signed in", 1),
            ("wrong", "", "Too many wrong passwords", 30),  # each is waited for longer, but not for long
        ):
            context = chromium.new_context()
            tab = context.new_page()
            tab.set_default_timeout(TIMEOUT_MS)
            tab.route("**", _without_challenge)
            shown = tab.get_by_role("heading", name=heading)
            for attempt in range(attempts):
                given = b64encode(f"ann:{password}{attempt or ''}".encode()).decode()  # the same one would count once
                context.set_extra_http_headers({"Authorization": f"Basic {given}"})
                tab.goto(f"{page.root}/{path}")
                if shown.count():
                    break
            _keep_phone(tab, heading.lower().replace(" ", "-"))
            expect(shown).to_be_visible()
            assert serious_faults(tab, has_script=False) == []
            tab.context.close()


def test_an_open_page_of_who_was_taken_out_of_the_users_is_signed_out(
    chromium: Browser, bus: Bus, tmp_path: Path
) -> None:
    """Its ticks are a wrong password, which counts once: that is no lost connection, and bob is let in from there."""
    users = [f"{name}:viewer:{generate_password_hash('right', method='scrypt:1024:8:1')}\n" for name in ("ann", "bob")]
    (tmp_path / "users").write_text("".join(users))
    page = dashboard(bus.settings, tmp_path, dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
    with page.part:
        page.wait_listening()
        tab = chromium.new_context(http_credentials={"username": "ann", "password": "right"}).new_page()
        tab.set_default_timeout(TIMEOUT_MS)
        tab.goto(page.root)
        expect(tab.get_by_role("heading", name="Sensorbus")).to_be_visible()
        (tmp_path / "users").write_text(users[1])
        answers: list[int] = []
        tab.on("response", lambda answer: answers.append(answer.status))
        with tab.expect_response(lambda answer: answer.status == HTTPStatus.UNAUTHORIZED, timeout=60_000):
            page.part.signal(signal.SIGHUP)
        expect(tab.get_by_role("alert")).to_contain_text("Signed out since", timeout=TIMEOUT_MS)
        for _ in range(4):  # it asks on, more often than a name may be wrong
            tab.wait_for_event("response", timeout=TIMEOUT_MS)
        assert HTTPStatus.TOO_MANY_REQUESTS not in answers
        expect(tab.get_by_role("alert")).to_contain_text("Signed out since")
        with requests.get(page.root, auth=("bob", "right"), timeout=10) as answer:
            assert answer.status_code == HTTPStatus.OK
        tab.context.close()


def test_a_person_signs_in_looks_and_signs_out(chromium: Browser, site: Site) -> None:
    """To the provider and back to the device that was asked for, and once more when the session ended meanwhile.

    The policy is in nobody's way.
    """
    expect.set_options(timeout=TIMEOUT_MS)
    tab = chromium.new_context(ignore_https_errors=True).new_page()
    tab.set_default_timeout(TIMEOUT_MS)
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    address = f"{site.home}device/device-1"
    shown = re.compile(rf"^{re.escape(address)}\?unit=")  # the page writes how it shows numbers behind it
    tab.goto(address)
    expect(tab).to_have_url(shown)
    expect(tab.get_by_role("heading", name="device-1"), str(said)).to_be_visible()
    tab.context.clear_cookies()  # the session has ended
    expect(tab.get_by_role("alert")).to_contain_text("Signed out since")
    expect(tab.get_by_role("status", name="Pipeline")).to_contain_text("You are signed out")
    assert serious_faults(tab) == []
    tab.get_by_role("link", name="Sign in again").click()
    expect(tab.get_by_role("alert")).to_have_count(0)
    expect(tab).to_have_url(shown)
    expect(tab.get_by_role("heading", name="device-1")).to_be_visible()
    tab.get_by_role("link", name="Account").click()
    expect(tab.get_by_text("signed in as ann, with the role operator")).to_be_visible()
    assert serious_faults(tab, has_script=False) == []
    tab.get_by_role("button", name="Sign out").click()
    expect(tab).to_have_url(f"{site.home}signed-out")
    assert "/logout" in site.provider.asked
    assert tab.context.cookies() == []
    site.provider.claims["roles"] = []
    tab.goto(address)
    expect(tab.get_by_role("heading", name="No access")).to_be_visible()
    _keep_phone(tab, "refused-403")
    assert serious_faults(tab, has_script=False) == []
    assert [line for line in said if "Content Security Policy" in line] == []
    tab.context.close()
    assert "marker" not in site.page.part.said()
    assert "Traceback" not in site.page.part.said()
