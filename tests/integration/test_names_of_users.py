"""Names of users in any script, as gunicorn hands them on.

From a proxy's header, with a password, from a provider: on the page, with their role, and in the log.
"""

import base64
from pathlib import Path
from typing import Final

import pytest
from werkzeug.security import generate_password_hash

from sensorbus.contract.settings import Settings
from tests.support.dashboards import Dashboard, dashboard
from tests.support.oidc_provider import Provider, signed_in
from tests.support.real_kafka import free_ports
from tests.support.strangers import Listener, answer_to_bytes

#: The last byte of two of them is a space (à) and the end of a line (Å) to who takes it for Latin-1.
NAMES: Final = ("müller", "张伟", "voilà", "CÅ", "Ольга", "ü" * 128)
#: Latin-1, half a character, control characters, what turns the text around, too long.
NO_NAMES: Final = (b"m\xfcller", b"\xe5\xbc", "a\x85b".encode(), "a\u202eb".encode(), ("ü" * 129).encode())
PASSWORD: Final = "grün-密码-€"  # noqa: S105  # of a page that lives as long as a test

pytestmark = pytest.mark.embedded


@pytest.fixture
def lonely(tmp_path: Path) -> Settings:
    """Give settings of a bus whose broker is not there; the page knows its users all the same."""
    return Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports()[0]}", state_dir=tmp_path)


def account(page: Dashboard, *headers: bytes) -> tuple[int, str]:
    """Return status and text of the page that says who one is, asked with these bytes as headers."""
    head = b"\r\n".join([b"GET /account HTTP/1.1", b"Host: here", b"Connection: close", *headers, b"", b""])
    answer = answer_to_bytes(Listener(page.settings.dashboard_port), head)
    return int(answer.split()[1]), answer.decode()


def basic(name: str, password: str, encoding: str = "utf-8") -> bytes:
    """Return the header with a name and a password."""
    return b"Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode(encoding))


def test_a_proxy_names_users_in_any_script(lonely: Settings, tmp_path: Path) -> None:
    """As UTF-8, whether a letter comes in one or in two parts; what is no name is 401 and a line."""
    (tmp_path / "users").write_text("müller:operator:\n张伟:operator:\n", encoding="utf-8")
    page = dashboard(lonely, tmp_path, dashboard_sign_in="proxy", dashboard_users_file=tmp_path / "users")
    with page.part:
        page.wait_listening()
        for sent, name in [*((name, name) for name in NAMES), ("mu\u0308ller", "müller")]:
            status, text = account(page, b"X-Forwarded-User: " + sent.encode())
            role = "operator" if name in ("müller", "张伟") else "viewer"
            assert (status, f"signed in as {name}, with the role {role}" in text) == (200, True), (sent, text)
        for number, no_name in enumerate(NO_NAMES):
            way = f"X-Forwarded-For: 192.0.2.{number}".encode()
            assert account(page, way, b"X-Forwarded-User: " + no_name)[0] == 401, no_name
    refused = [line for line in page.part.said().splitlines() if "(X-Forwarded-User)" in line]
    assert [f"from 192.0.2.{number} is not 1 to 128 printable" in line for number, line in enumerate(refused)] == (
        [True] * len(NO_NAMES)
    )


def test_names_and_passwords_are_in_any_script(lonely: Settings, tmp_path: Path) -> None:
    """In UTF-8, as the page asks for; what comes in Latin-1 is told apart from a wrong password."""
    password_hash = generate_password_hash(PASSWORD, method="scrypt:1024:8:1")
    lines = "".join(f"{name}:viewer:{password_hash}\n" for name in NAMES)
    (tmp_path / "users").write_text(lines, encoding="utf-8")
    page = dashboard(lonely, tmp_path, dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
    with page.part:
        page.wait_listening()
        status, text = account(page)
        assert (status, 'charset="UTF-8"' in text) == (401, True)
        for name in NAMES:
            status, text = account(page, basic(name, PASSWORD))
            assert (status, f"signed in as {name}, with the role viewer" in text) == (200, True), (name, text)
        assert account(page, basic("mu\u0308ller", PASSWORD))[0] == 200
        assert account(page, basic("müller", "grün"))[0] == 401
        assert account(page, basic("müller", "grün", "latin-1"))[0] == 401
    said = page.part.said()
    assert (said.count("wrong password or name from 127.0.0.1"), said.count("they are no UTF-8 in base64")) == (1, 1)
    assert "grün" not in said


def test_a_provider_names_users_in_any_script(lonely: Settings, tmp_path: Path) -> None:
    """The session keeps the name as it is, and so do the page and the log."""
    with Provider({"preferred_username": "张伟 Müller", "roles": ["sensorbus-viewer"]}) as provider:
        page = dashboard(lonely, tmp_path, **provider.of_a_page())
        with page.part:
            page.wait_listening()
            cookie = signed_in(page.url)
            status, text = account(page, f"Cookie: {cookie}".encode())
            assert (status, "signed in as 张伟 Müller, with the role viewer" in text) == (200, True)
    assert "signed in | user=张伟 Müller role=viewer" in page.part.said()
