"""The page's own secrets are in nothing that others see."""

from pathlib import Path

import pytest
import requests

from sensorbus.contract.settings import Settings
from tests.support.dashboards import dashboard
from tests.support.oidc_provider import SECRET, SESSION, Provider, signed_in
from tests.support.real_kafka import free_ports

pytestmark = pytest.mark.embedded


def test_secrets_of_the_sign_in_at_a_provider_are_shown_nowhere(tmp_path: Path) -> None:
    """At `DEBUG`: in no answer, no log and no process list; of who signs in, neither is the session."""
    lonely = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports()[0]}", state_dir=tmp_path, log_level="DEBUG")
    with Provider({"preferred_username": "ann", "roles": ["sensorbus-viewer"]}) as provider:
        page = dashboard(lonely, tmp_path, **provider.of_a_page())
        with page.part:
            page.wait_listening()
            session = signed_in(page.url)
            paths = ("", "account", "readyz", "metrics", "_dash-layout", "sign-in/back?state=x&code=y", "none")
            with requests.Session() as ann:
                ann.headers["Cookie"] = session
                answers = [ann.get(page.url + path, allow_redirects=False, timeout=5) for path in paths]
            assert [answer.status_code for answer in answers] == [200, 200, 503, 200, 200, 303, 404]
            assert page.part.process is not None
            pids = (page.part.process.pid, *page.worker_pids())
            shown = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
            shown += [f"{answer.headers} {answer.text}" for answer in answers]
        shown.append(page.part.said())
    assert "signed in | user=ann" in shown[-1]
    assert "DEBUG" in shown[-1]
    for secret in (SECRET, SESSION, session.partition("=")[2]):
        assert [text for text in shown if secret in text] == [], secret
