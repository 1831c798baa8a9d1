"""Sign-in at a provider as a person does it.

Real nginx with TLS, real gunicorn, real Chromium.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support import nginx
from tests.support.axe import serious_faults
from tests.support.certificates import Authority
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.needs import need
from tests.support.nginx import Nginx
from tests.support.oidc_provider import CLIENT, SECRET, Provider

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
            dashboard_sign_in="oidc",
            dashboard_oidc_issuer=provider.issuer,
            dashboard_oidc_client_id=CLIENT,
            dashboard_oidc_client_secret=SECRET,
            dashboard_session_secret="marker-session-secret-that-is-long",  # noqa: S106  # no secret
        )
        proxy = Nginx(tmp_path, Authority(tmp_path).issue("localhost"), page.settings.dashboard_port)
        with page.part, proxy:
            page.wait_listening()
            yield Site(page, provider, f"https://localhost:{proxy.port}{PREFIX}")


def test_a_person_signs_in_looks_and_signs_out(chromium: Browser, site: Site) -> None:
    """To the provider and back to the device that was asked for, and once more when the session ended meanwhile.

    The policy is in nobody's way.
    """
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
    tab.get_by_role("button", name="Sign out").click()
    expect(tab).to_have_url(f"{site.home}signed-out")
    assert "/logout" in site.provider.asked
    assert tab.context.cookies() == []
    assert [line for line in said if "Content Security Policy" in line] == []
    tab.context.close()
    assert "marker" not in site.page.part.said()
    assert "Traceback" not in site.page.part.said()
