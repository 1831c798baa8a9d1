"""Sign-in at a provider that really answers, and what of it is refused."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboard_app import sign_in
from dashboard_app.app import create_app
from dashboard_app.oidc_turns import RESTS_S
from sensorbus.contract.settings import Settings
from tests.support.held_parts import StillFeed
from tests.support.oidc_provider import AUDIENCE, CLIENT, PROGRAM, SECRET, Provider, key
from tests.support.waiting import wait_until

PREFIX: Final = "/temperature/"
SITE: Final = "https://sensors.example.com"
VIEWER: Final = {"preferred_username": "ann", "roles": ["sensorbus-viewer", "else"]}
KEY: Final = "marker-session-secret-that-is-long"


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Give a provider at which ann, a viewer, is signed in."""
    with Provider(dict(VIEWER)) as running:
        yield running


def settings_of(provider: Provider, **changes: Any) -> Settings:
    """Return the settings of a page that asks this provider."""
    given = {
        "dashboard_url_prefix": PREFIX,
        "dashboard_sign_in": "oidc",
        "dashboard_oidc_issuer": provider.issuer,
        "dashboard_oidc_client_id": CLIENT,
        "dashboard_oidc_client_secret": SECRET,
        "dashboard_oidc_audience": AUDIENCE,
        "dashboard_session_secret": KEY,
    }
    return Settings(**given | changes)


def browser(settings: Settings) -> FlaskClient:
    """Return a browser that has not been at the page yet."""
    server = create_app(settings, StillFeed(settings)).server
    sign_in.install(server, settings)
    client: FlaskClient = server.test_client()
    return client


def see(client: FlaskClient, path: str = PREFIX, **headers: str) -> TestResponse:
    """Return what a browser gets that opens an address."""
    return client.get(path, base_url=SITE, headers={"Accept": "text/html,*/*", **headers})


def go_there(client: FlaskClient, path: str = PREFIX) -> str:
    """Open a page, be sent to the provider and return the address to which it sends back."""
    sent = see(client, path)
    assert sent.status_code == 302, sent.text
    answer = requests.get(sent.headers["Location"], allow_redirects=False, timeout=5)
    assert answer.headers["Location"].startswith(f"{SITE}{PREFIX}sign-in/back?")
    return answer.headers["Location"].removeprefix(SITE)


def come_in(client: FlaskClient, path: str = PREFIX) -> TestResponse:
    """Go to the provider and come back."""
    return see(client, go_there(client, path))


def test_who_signs_in_sees_what_they_asked_for(provider: Provider) -> None:
    """Over the provider and back to the same address; the account page says name and role."""
    client = browser(settings_of(provider))
    back = come_in(client, f"{PREFIX}device/a%20b?unit=K")
    assert (back.status_code, back.headers["Location"]) == (303, f"{PREFIX}device/a%20b?unit=K")
    assert see(client).status_code == 200
    account = see(client, f"{PREFIX}account").text
    assert "signed in as ann, with the role viewer" in account
    assert client.get(f"{PREFIX}_dash-layout", base_url=SITE).status_code == 200


def test_the_way_there_is_bound_to_the_browser(provider: Provider) -> None:
    """State, nonce and a PKCE challenge, new each time; all answers carry the page's headers."""
    client = browser(settings_of(provider))
    asked = [parse_qs(urlsplit(see(client).headers["Location"]).query) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        assert len({each[name][0] for each in asked}) == 2
    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["redirect_uri"] == [f"{SITE}{PREFIX}sign-in/back"]
    assert "script-src 'self' 'sha256-" in see(client).headers["Content-Security-Policy"]
    assert see(client).headers["Cache-Control"] == "no-store"


def test_the_cookie_is_for_this_page_alone(provider: Provider) -> None:
    """Secure, not for scripts, not sent with other sites' requests; no token and no secret is in it."""
    client = browser(settings_of(provider))
    cookie = come_in(client).headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", f"Path={PREFIX}", "SameSite=Lax"} <= set(cookie.split("; "))
    held = client.get_cookie("sensorbus_session", path=PREFIX, domain="sensors.example.com")
    assert held is not None
    assert len(held.value) < 300
    assert "Set-Cookie" not in see(client).headers  # a tick does not send it anew


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
@pytest.mark.parametrize("path", ["", "_dash-layout", "api/v1/devices", "assets/dom.js"])
def test_what_is_not_a_page_is_401(provider: Provider, path: str, accept: str) -> None:
    """A script cannot follow to the provider; the probe of life needs nobody."""
    client = browser(settings_of(provider))
    assert client.get(f"{PREFIX}{path}", headers={"Accept": accept}).status_code == 401
    assert client.post(f"{PREFIX}_dash-update-component", json={}).status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json == {"status": "not ready"}
    assert provider.asked == []


@pytest.mark.parametrize("claims", [{"roles": ["sensorbus-operator"]}, {"roles": "sensorbus-operator"}])
def test_an_operator(provider: Provider, claims: dict[str, Any]) -> None:
    """One role or a list of them."""
    provider.claims |= claims
    client = browser(settings_of(provider))
    come_in(client)
    assert "with the role operator" in see(client, f"{PREFIX}account").text


def test_roles_within_a_claim_and_roles_for_everybody(provider: Provider) -> None:
    """As Keycloak has them; a claim whose own name has dots; `*` lets in whoever can sign in."""
    provider.claims = {"realm_access": {"roles": ["sensorbus-viewer"]}, "https://a.b/roles": ["sensorbus-operator"]}
    for claim, role in (("realm_access.roles", "viewer"), ("https://a.b/roles", "operator")):
        client = browser(settings_of(provider, dashboard_oidc_role_claim=claim))
        assert come_in(client).status_code == 303
        assert f"signed in as user-1, with the role {role}" in see(client, f"{PREFIX}account").text
    client = browser(settings_of(provider, dashboard_oidc_viewer_role="*"))
    assert come_in(client).status_code == 303


@pytest.mark.parametrize(
    "claims", [{"roles": []}, {"roles": None}, {"roles": {"sensorbus-viewer": 1}}, {"roles": ["Sensorbus-Viewer"]}]
)
def test_who_has_no_role_is_turned_away(
    provider: Provider, claims: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """403 and no session; the log says from where, and of which claim."""
    provider.claims |= claims
    client = browser(settings_of(provider))
    assert come_in(client).status_code == 403
    assert see(client).status_code == 302
    assert "somebody from 127.0.0.1 was turned away: " in caplog.text
    assert "claim roles" in caplog.text


REFUSED: Final[dict[str, dict[str, Any]]] = {
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "expired": {"exp": int(time.time()) - 3_600},
    "no end": {"exp": None},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "for somebody else": {"aud": "another-page"},
    "for somebody else, by our leave": {"aud": ["another-page"], "azp": CLIENT},
    "from the future": {"nbf": int(time.time()) + 3_600},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    provider: Provider, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """400 and no session; the log has a line without the token."""
    provider.bent = REFUSED[case]
    client = browser(settings_of(provider))
    with caplog.at_level(logging.WARNING):
        assert come_in(client).status_code == 400
    assert see(client).status_code == 302
    assert "a sign-in from 127.0.0.1 failed: " in caplog.text
    assert "eyJ" not in caplog.text


def test_a_forged_token_is_refused(provider: Provider) -> None:
    """Signed with another key of the same name."""
    provider.forges = key("one", 2)
    assert come_in(browser(settings_of(provider))).status_code == 400


def test_new_keys_of_the_provider_are_found(provider: Provider) -> None:
    """It changes them without a word; nobody has to restart the page."""
    client = browser(settings_of(provider))
    assert come_in(client).status_code == 303
    provider.signs = key("two")
    client.delete_cookie("sensorbus_session", path=PREFIX, domain="sensors.example.com")
    assert come_in(client).status_code == 303


def test_the_way_back_works_once_and_in_one_browser(provider: Provider) -> None:
    """Nobody else can use it, and who is in already is sent to the page."""
    client, other = browser(settings_of(provider)), browser(settings_of(provider))
    back = go_there(client)
    assert see(other, back).status_code == 400
    assert see(client, f"{PREFIX}sign-in/back?state=x&code=y").status_code == 400
    assert see(client, f"{PREFIX}sign-in/back?error=access_denied&state=x").status_code == 400
    assert see(client, back).status_code == 303
    assert (see(client, back).status_code, see(other).status_code) == (303, 302)


def test_many_open_tabs_do_not_fill_the_cookie(provider: Provider) -> None:
    """The oldest ways to the provider are forgotten; the newest work."""
    client = browser(settings_of(provider))
    ways = [go_there(client) for _ in range(12)]
    held = client.get_cookie("sensorbus_session", path=PREFIX, domain="sensors.example.com")
    assert held is not None
    assert len(held.value) < 2_000
    assert see(client, ways[-2]).status_code == 303


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "/%5Cevil.example", "/elsewhere"])
def test_nobody_is_sent_to_another_host(provider: Provider, path: str) -> None:
    """After the sign-in comes an address of this page, whatever was asked for."""
    client = browser(settings_of(provider, dashboard_url_prefix="/"))
    sent = client.get(path, base_url=SITE, headers={"Accept": "text/html"})
    answer = requests.get(sent.headers["Location"], allow_redirects=False, timeout=5)
    to = see(client, answer.headers["Location"].removeprefix(SITE)).headers["Location"]
    assert urlsplit(to).netloc == ""
    assert to.startswith("/")
    assert not to.startswith(("//", "/\\"))


def test_a_session_ends(provider: Provider) -> None:
    """By time, by another key, by a cookie that somebody changed."""
    client = browser(settings_of(provider, dashboard_session_ms=1))
    come_in(client)
    wait_until(lambda: see(client).status_code == 302, 5, "the session to end")
    settings = settings_of(provider)
    client = browser(settings)
    come_in(client)
    held = client.get_cookie("sensorbus_session", path=PREFIX, domain="sensors.example.com")
    assert held is not None
    other = browser(settings.model_copy(update={"dashboard_session_secret": settings.dashboard_oidc_client_secret}))
    for one, value, status in (
        (browser(settings), held.value, 200),
        (browser(settings), held.value[:-3] + "AAA", 302),
        (other, held.value, 302),
    ):
        one.set_cookie("sensorbus_session", value, path=PREFIX, domain="sensors.example.com")
        assert see(one).status_code == status


def test_signing_out(provider: Provider) -> None:
    """Here and at the provider; another site cannot do it to somebody."""
    client = browser(settings_of(provider))
    come_in(client)
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert client.post(f"{PREFIX}sign-out", base_url=SITE, headers=foreign).status_code == 403
    assert see(client, f"{PREFIX}sign-out").status_code == 404
    assert see(client).status_code == 200
    answer = client.post(f"{PREFIX}sign-out", base_url=SITE)
    assert see(client).status_code == 302
    way = answer.headers["Refresh"].removeprefix("0; url=")
    back = requests.get(way, allow_redirects=False, timeout=5).headers["Location"]
    assert back == f"{SITE}{PREFIX}signed-out"
    assert see(client, back.removeprefix(SITE)).status_code == 200


@pytest.mark.parametrize("described", [{"issuer": "https://evil.example"}, {"jwks_uri": None}])
def test_a_provider_that_is_another_one_lets_nobody_in(
    provider: Provider, described: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The setting is named; when it is mended, it works without a restart."""
    provider.described = described
    client = browser(settings_of(provider))
    if described.get("issuer"):
        assert see(client).status_code == 503
        assert f"cannot ask the sign-in provider {provider.issuer} (SENSORBUS_DASHBOARD_OIDC_ISSUER)" in caplog.text
        provider.described = {}
        wait_until(lambda: see(client).status_code == 302, 2 * RESTS_S, "the provider to be asked again")
        assert come_in(client).status_code == 303
    else:
        assert come_in(client).status_code == 400


def test_a_provider_that_is_away_is_said() -> None:
    """503 and no traceback; the page runs, and asks again."""
    with Provider() as gone:
        settings = settings_of(gone)
    client = browser(settings)
    assert see(client).status_code == 503
    assert "Traceback" not in see(client).text
    assert client.post(f"{PREFIX}sign-out", base_url=SITE).status_code == 200


def test_a_way_back_that_nobody_was_sent_asks_nobody(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """Made up, of another browser, too old: nobody makes it ask, nor hands a code in twice; by http it says why."""
    client, other = browser(settings_of(provider)), browser(settings_of(provider))
    for site in (SITE, "http://sensors.example.com"):
        assert "keeps no cookie (SENSORBUS_DASHBOARD_PROXIES)" not in caplog.text
        assert client.get(f"{PREFIX}sign-in/back?state=x&code=y", base_url=site).status_code == 400
    assert "keeps no cookie (SENSORBUS_DASHBOARD_PROXIES)" in caplog.text
    assert provider.asked == []
    back = go_there(client)
    assert see(other, back).status_code == 400
    held = client.get_cookie("sensorbus_session", path=PREFIX, domain="sensors.example.com")
    assert held is not None
    assert see(client, back).status_code == 303
    for _ in range(3):
        client.set_cookie("sensorbus_session", held.value, path=PREFIX, domain="sensors.example.com")
        assert see(client, back).status_code == 400
    assert provider.asked.count("/token") == 1


def test_a_way_back_ends_with_the_hour(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the cookie is of no use later, though its signature is good for longer."""
    client = browser(settings_of(provider))
    back = go_there(client)
    now_s = time.time()
    monkeypatch.setattr("dashboard_app.oidc.time.time", lambda: now_s + 3_700)
    assert see(client, back).status_code == 400
    assert "/token" not in provider.asked


@pytest.mark.parametrize("failing", [False, True])
def test_one_thread_waits_until_a_slow_provider_describes_itself(provider: Provider, failing: bool) -> None:
    """The others are told at once, and come again by themselves; after a failure they are told, and nobody asks."""
    asked = "/.well-known/openid-configuration"
    provider.slow, provider.described = {asked}, {"issuer": "https://evil.example"} if failing else {}
    server = browser(settings_of(provider)).application
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(see, server.test_client())
        wait_until(lambda: provider.asked == [asked], 5, "the first question")
        for _ in range(3):
            answer = see(server.test_client())
            assert (answer.status_code, answer.headers.get("Refresh")) == (503, "1")
        assert not first.done()
        program = {"Authorization": f"Bearer {provider.token(sub=PROGRAM, aud=AUDIENCE, roles='sensorbus-viewer')}"}
        assert server.test_client().get(f"{PREFIX}api/v1/devices", headers=program).status_code == 503
        assert server.test_client().get("/readyz", headers=program).json == {"status": "not ready"}
        assert provider.asked == [asked]
        provider.goes_on.set()
        assert first.result(10).status_code == (503 if failing else 302)
    after = see(server.test_client())
    assert (after.status_code, after.headers.get("Refresh")) == (503 if failing else 302, None)
    assert provider.asked == [asked]


def test_two_threads_wait_until_a_slow_provider_takes_a_code(provider: Provider) -> None:
    """Who comes third is told at once, and gets in later with the same way back."""
    server = browser(settings_of(provider)).application
    come_in(server.test_client())  # the keys are known from here on
    clients = [server.test_client() for _ in range(3)]
    ways = [go_there(client) for client in clients]
    provider.slow = {"/token"}
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(see, client, way) for client, way in zip(clients[:2], ways, strict=False)]
        wait_until(lambda: provider.asked.count("/token") == 3, 5, "two codes to be handed in")
        answer = see(clients[2], ways[2])
        assert (answer.status_code, answer.headers.get("Refresh")) == (503, "1")
        assert [each.done() for each in waiting] == [False, False]
        provider.goes_on.set()
        assert [each.result(10).status_code for each in waiting] == [303, 303]
    assert see(clients[2], ways[2]).status_code == 303


def test_one_thread_waits_for_a_slow_providers_keys(provider: Provider) -> None:
    """Made-up access tokens ask for them too, while they are not known."""
    provider.slow = {"/keys"}
    server = browser(settings_of(provider)).application
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(bearer, server.test_client(), provider.token(aud=AUDIENCE, **VIEWER))
        wait_until(lambda: "/keys" in provider.asked, 5, "the question for keys")
        assert [bearer(server.test_client(), "x") for _ in range(3)] == [503] * 3
        assert not first.done()
        provider.goes_on.set()
        assert first.result(10) == 200
    assert provider.asked.count("/keys") == 1


def bearer(client: FlaskClient, token: str) -> int:
    """Return the status that a program gets with a token."""
    answer = client.get(f"{PREFIX}api/v1/openapi.json", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


def test_a_program_comes_with_an_access_token(provider: Provider) -> None:
    """By client credentials, as Prometheus and scripts do."""
    client = browser(settings_of(provider))
    asked = {"grant_type": "client_credentials"}
    answer = requests.post(f"{provider.issuer}/token", asked, auth=(PROGRAM, SECRET), timeout=5).json()
    assert bearer(client, answer["access_token"]) == 200
    provider.signs = key("two")
    assert bearer(client, provider.token(sub=PROGRAM, aud=AUDIENCE, roles="sensorbus-viewer")) == 200


def test_the_log_names_the_address_that_a_named_proxy_says(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a sign-in and of a token that are refused; lines are held back by it, so one stranger hides no other."""
    client = browser(settings_of(provider))  # which comes from 127.0.0.1, a named proxy by default
    way = {"X-Forwarded-For": "10.0.0.1, 192.0.2.66"}
    with caplog.at_level(logging.WARNING):
        see(client, f"{PREFIX}sign-in/back?state=x&code=y", **way)
        see(client, **way, Authorization="Bearer x")
    assert "a sign-in from 192.0.2.66 failed: " in caplog.text
    assert "an access token from 192.0.2.66 is refused: " in caplog.text
    assert [vars(record).get("fold_by") for record in caplog.records] == ["192.0.2.66"] * 2


def test_a_token_without_a_role_is_told_of_in_the_log(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """What Prometheus is answered does not say why; who sets it up finds the claim and the setting here."""
    client = browser(settings_of(provider))
    assert bearer(client, provider.token(sub=PROGRAM, aud=AUDIENCE, groups=["plant"])) == 401
    assert "somebody from 127.0.0.1 was turned away: the token has no claim roles" in caplog.text


@pytest.mark.parametrize(
    ("changes", "bent", "told"),
    [
        ({"dashboard_oidc_audience": None}, {}, "SENSORBUS_DASHBOARD_OIDC_AUDIENCE is not set"),
        ({}, {"aud": None}, "Missing claim: 'aud' (SENSORBUS_DASHBOARD_OIDC_AUDIENCE)"),
        ({}, {"aud": CLIENT}, "Invalid claim: 'aud' (SENSORBUS_DASHBOARD_OIDC_AUDIENCE)"),
        ({}, {"iss": "https://id.example.com/"}, "Invalid claim: 'iss' (SENSORBUS_DASHBOARD_OIDC_ISSUER)"),
        ({}, {"exp": 1}, "expired"),
        ({}, {"exp": None}, "Missing claim: 'exp'"),
    ],
)
def test_a_token_that_is_not_for_us_is_one_line_with_the_setting(
    provider: Provider, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], bent: dict[str, Any], told: str
) -> None:
    """Expired, for somebody else, an id token, any where none may come; and nothing of the token."""
    token = provider.token(**{"sub": PROGRAM, "aud": AUDIENCE, "roles": "sensorbus-viewer"} | bent)
    assert bearer(browser(settings_of(provider, **changes)), token) == 401
    (line,) = [each.getMessage() for each in caplog.records if "access token" in each.getMessage()]
    assert told in line.partition(" from 127.0.0.1 is refused: ")[2]
    assert token.split(".")[1] not in line


def test_other_tokens_of_programs_are_refused(provider: Provider) -> None:
    """Without a role, forged, none."""
    client = browser(settings_of(provider))
    good: dict[str, Any] = {"sub": PROGRAM, "aud": AUDIENCE, "roles": ["sensorbus-viewer"]}
    token, without_role = provider.token(**good), provider.token(**good | {"roles": []})
    tokens = (token, "", "x", "a.b.c", f"{token[:-4]}AAAA", without_role)
    assert [bearer(client, each) for each in tokens] == [200, *[401] * 5]
    provider.forges = key("unknown")
    asked = len(provider.asked)
    assert [bearer(client, provider.token(**good)) for _ in range(5)] == [401] * 5
    assert len(provider.asked) - asked <= 1  # the keys are not fetched for each
