"""Who is let in, by password and by a proxy's word, and who has to wait."""

import base64
import hmac
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from werkzeug import security
from werkzeug.security import check_password_hash, generate_password_hash

from dashboard_app import ops, sign_in
from dashboard_app.users import read_users
from sensorbus.contract.settings import Settings
from sensorbus.runtime.logs import FoldRepeats
from tests.support.held_parts import StillFeed

PASSWORD = "marker-hunter2"  # noqa: S105  # no secret: it is looked for in what is said
HASH = generate_password_hash(PASSWORD, method="scrypt:1024:8:1")  # cheap: the tests check many


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        """Start at 100 s."""
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def client_of(settings: Settings, clock: Clock | None = None) -> FlaskClient:
    """Return a client of a server that says who is there."""
    server = Flask("test", static_folder=None)

    @server.get("/<path:_path>")
    def who(_path: str) -> dict[str, object]:
        return {"user": g.get("user"), "role": g.get("role")}

    sign_in.install(server, settings, clock or Clock())
    return server.test_client()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """Give a file with a viewer and an operator."""
    file = tmp_path / "users"
    file.write_text(f"# who\nann:viewer:{HASH}\n\nbob:operator:{HASH}\n")
    return file


def with_passwords(users: Path, clock: Clock | None = None) -> FlaskClient:
    """Return a client of a page with passwords."""
    return client_of(Settings(dashboard_sign_in="basic", dashboard_users_file=users), clock)


def test_users_that_were_read_before_are_those_that_count(users: Path) -> None:
    """The master's of gunicorn: its workers do not read the file again."""
    settings = Settings(dashboard_sign_in="basic", dashboard_users_file=users)
    known = read_users(settings)
    users.unlink()
    server = Flask("test", static_folder=None)
    sign_in.install(server, settings, Clock(), users=known)
    assert status(server.test_client(), "ann", PASSWORD) == 404  # she is let in, and there is nothing
    assert status(server.test_client(), "ann", "wrong") == 401


def status(client: FlaskClient, name: str, password: str, path: str = "/page") -> int:
    """Return the status for a name and a password."""
    return client.get(path, auth=(name, password)).status_code


def test_off_asks_nobody() -> None:
    """As on a developer's machine; who gets there may do all."""
    assert client_of(Settings()).get("/page").json == {"user": None, "role": None}


@pytest.mark.parametrize("path", ["/", "/page", "/metrics", "/_dash-layout", "/none", "/healthz/"])
def test_without_a_password_nothing_is_told(users: Path, path: str) -> None:
    """401 and a challenge for everything, what is not there included."""
    answer = with_passwords(users).get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_the_probe_of_life_needs_none(users: Path) -> None:
    """What restarts the process has no password."""
    assert with_passwords(users).get("/healthz").status_code == 200


def test_roles(users: Path) -> None:
    """A viewer sees, an operator may change."""
    client = with_passwords(users)
    assert client.get("/page", auth=("ann", PASSWORD)).json == {"user": "ann", "role": "viewer"}
    assert client.get("/page", auth=("bob", PASSWORD)).json == {"user": "bob", "role": "operator"}


@pytest.mark.parametrize(
    ("name", "password"), [("ann", ""), ("ann", PASSWORD + "x"), ("eve", PASSWORD), ("", PASSWORD), ("ANN", PASSWORD)]
)
def test_what_is_wrong_is_401(users: Path, name: str, password: str) -> None:
    """A wrong name is told like a wrong password."""
    assert status(with_passwords(users), name, password) == 401


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Bearer x", "Basic YQ==", "Basic " + "A" * 9_000, "Basic \xff", ""]
)
def test_a_header_that_is_none_is_401(users: Path, header: str) -> None:
    """And no 500."""
    assert with_passwords(users).get("/page", headers={"Authorization": header}).status_code == 401


def test_a_password_is_hashed_once_in_five_minutes(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick per second must not cost a scrypt per second, of a wrong one neither; nor does one after five minutes."""
    checked: list[str] = []

    def check(password_hash: str, password: str) -> bool:
        checked.append(password)
        return check_password_hash(password_hash, password)

    monkeypatch.setattr(sign_in, "check_password_hash", check)
    clock = Clock()
    client = with_passwords(users, clock)
    assert [status(client, "ann", PASSWORD) for _ in range(5)] == [200] * 5
    assert status(client, "ann", "wrong") == status(client, "ann", "wrong") == 401
    assert checked == [PASSWORD, "wrong"]
    for _ in range(2):
        clock.now_s += 299
        assert (status(client, "ann", PASSWORD), status(client, "ann", "wrong")) == (200, 401)
    assert checked[2:] == []
    clock.now_s += 301
    assert (status(client, "ann", PASSWORD), status(client, "ann", "wrong")) == (200, 401)
    assert checked[2:] == [PASSWORD, "wrong"]


def test_a_name_that_is_not_there_costs_a_hash_too(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time tells nothing of who is known."""
    checked: list[str] = []

    def check(password_hash: str, _password: str) -> bool:
        checked.append(password_hash)
        return False

    monkeypatch.setattr(sign_in, "check_password_hash", check)
    client = with_passwords(users)
    status(client, "eve", "x")
    status(client, "ann", "x")
    assert [text.partition(":")[0] for text in checked] == ["scrypt", "scrypt"]


def test_a_wrong_password_is_compared_to_the_end(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hash, in constant time: how long that takes tells nothing of how much of it is right."""
    compared: list[tuple[str, str]] = []

    def compare(known: str, given: str) -> bool:
        compared.append((known, given))
        return hmac.compare_digest(known, given)

    monkeypatch.setattr(security, "hmac", SimpleNamespace(compare_digest=compare))
    client = with_passwords(users)
    assert (status(client, "ann", "wrong"), status(client, "ann", PASSWORD)) == (401, 200)
    right = HASH.rpartition("$")[2]
    assert [pair == (right, right) for pair in compared if right in pair] == [False, True]


def test_who_is_wrong_too_often_waits_longer_and_longer(users: Path) -> None:
    """429 with the seconds, right or wrong; the wait doubles; other names are not touched."""
    clock = Clock()
    client = with_passwords(users, clock)
    assert [status(client, "ann", word) for word in "xyzx"] == [401, 401, 401, 429]
    answer = client.get("/page", auth=("ann", PASSWORD))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert "WWW-Authenticate" in answer.headers  # by which the page tells it from a proxy's limit
    assert status(client, "bob", PASSWORD) == 200
    for wait_s in (1, 2, 4, 8, 16, 32, 60, 60):
        clock.now_s += wait_s - 0.5
        assert status(client, "ann", PASSWORD) == 429
        clock.now_s += 0.6
        assert status(client, "ann", f"at {clock.now_s}") == 401
    clock.now_s += 60.1
    assert status(client, "ann", PASSWORD) == 200
    assert [status(client, "ann", word) for word in "abc"] == [401] * 3


def test_an_address_that_tries_many_names_waits_too(users: Path) -> None:
    """20 free tries in all."""
    client = with_passwords(users)
    assert [status(client, f"name-{number}", "x") for number in range(21)] == [401] * 20 + [429]


def test_an_attacker_behind_the_same_proxy_locks_nobody_out(users: Path) -> None:
    """The tries are those of the address that a named proxy says, whatever the attacker says himself."""
    client = with_passwords(users)
    for number in range(20):
        way = {"X-Forwarded-For": f"10.0.0.{number}, 192.0.2.66"}  # the proxy adds the last one
        assert client.get("/page", auth=(f"name-{number}", "x"), headers=way).status_code == 401
    for said, name, expected in (
        ("192.0.2.66", "ann", 429),
        ("192.0.2.1", "ann", 200),
        ("192.0.2.66, 127.0.0.1", "bob", 429),
        ("none", "bob", 200),
    ):
        answer = client.get("/page", auth=(name, PASSWORD), headers={"X-Forwarded-For": said})
        assert answer.status_code == expected


def test_who_was_let_in_is_not_locked_out_by_others_at_the_address(users: Path) -> None:
    """Such as who tries many names behind the same router; who tries her own makes her wait."""
    client = with_passwords(users)
    assert status(client, "ann", PASSWORD) == 200
    assert [status(client, f"name-{number}", "x") for number in range(21)] == [401] * 20 + [429]
    assert (status(client, "ann", PASSWORD), status(client, "bob", PASSWORD)) == (200, 429)
    client = with_passwords(users)
    assert status(client, "ann", PASSWORD) == 200
    assert [status(client, "ann", word) for word in ("x", "y", "z", PASSWORD)] == [401, 401, 401, 429]


@pytest.mark.parametrize("attacker", ["192.0.2.1", "198.51.100.7"])
def test_nobody_guesses_the_password_of_who_is_let_in_at_once(users: Path, attacker: str) -> None:
    """While the address waits, for tries with other names; from where ann is it makes her wait too."""
    clock = Clock()
    known = read_users(Settings(dashboard_users_file=users))
    gate, hers = sign_in.Gate(known, clock), "192.0.2.1"
    assert gate.look(hers, "ann", PASSWORD) == known["ann"]
    for number in range(21):
        gate.look(attacker, f"name-{number}", "x")
    assert all(isinstance(gate.look(attacker, "ann", f"guess {number}"), float) for number in range(100))
    assert isinstance(gate.look(attacker, "ann", PASSWORD), float)
    assert (gate.look(hers, "ann", PASSWORD) == known["ann"]) is (attacker != hers)


def test_an_open_page_of_who_was_taken_out_keeps_nobody_else_out(users: Path) -> None:
    """Nor does a program with an old password, of an hour each: it asks with the same one, and that counts once.

    Neither who has the page open behind the same router, nor who signs in there anew, nor the name's owner.
    """
    clock = Clock()
    known = read_users(Settings(dashboard_users_file=users))
    gate, here = sign_in.Gate(known, clock), "192.0.2.1"
    for _ in range(3600):
        assert (gate.look(here, "gone", "old"), gate.look(here, "bob", "old")) == (None, None)
        assert gate.look(here, "ann", PASSWORD) == known["ann"]
        clock.now_s += 1
    assert gate.look(here, "bob", PASSWORD) == known["bob"]


def test_of_tries_at_once_as_many_are_looked_at_as_of_tries_in_a_row(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other: 16 threads would else try 16 passwords for each wait, with the memory of all of them."""
    busy, most = 0, 0

    def check(*arguments: str) -> bool:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        time.sleep(0.01)
        busy -= 1
        return check_password_hash(*arguments)

    monkeypatch.setattr(sign_in, "check_password_hash", check)
    gate, together = sign_in.Gate(read_users(Settings(dashboard_users_file=users)), Clock()), threading.Barrier(16)

    def look(number: int) -> object:
        together.wait()
        return gate.look("192.0.2.1", "ann", f"x{number}")

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(look, range(16)))
    assert (most, found.count(None), found.count(1.0)) == (1, 3, 13)


def test_who_waits_too_long_for_other_passwords_is_told_to_come_again(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread is for others too."""
    monkeypatch.setattr(sign_in, "_QUEUES_S", 0.01)
    gate = sign_in.Gate(read_users(Settings(dashboard_users_file=users)), Clock())
    with gate._lock:
        assert gate.look("192.0.2.1", "ann", PASSWORD) == 1.0


def test_each_address_is_logged(users: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where somebody types wrong, nobody hides behind it."""
    client = with_passwords(users)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        client.get("/page", auth=("ann", "x"), environ_base={"REMOTE_ADDR": address})
    fold = FoldRepeats(clock_s=Clock())
    ours = [record for record in caplog.records if record.name == sign_in.__name__]
    told = [record.getMessage() for record in ours if fold.filter(record)]
    assert told == ["wrong password or name from 192.0.2.1", "wrong password or name from 192.0.2.2"]


def test_nobody_tries_on_by_another_address_that_he_makes_up(users: Path) -> None:
    """Of who is no named proxy it is not heard."""
    client = with_passwords(users)
    answers = [
        client.get(
            "/page",
            auth=("ann", f"x{number}"),
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
            environ_base={"REMOTE_ADDR": "192.0.2.66"},
        )
        for number in range(4)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


def test_what_is_remembered_is_bounded(users: Path) -> None:
    """However many names an attacker makes up."""
    gate = sign_in.Gate(read_users(Settings(dashboard_users_file=users)), Clock())
    for number in range(3_000):
        gate._note_failure(("1.2.3.4", str(number)), 0.0)
    assert len(gate._failures) <= 1_000
    assert ("1.2.3.4", "2999") in gate._failures


def test_who_goes_on_trying_is_not_forgotten_for_others(users: Path) -> None:
    """The oldest goes, not all, and not the one that is still at it."""
    gate = sign_in.Gate(read_users(Settings(dashboard_users_file=users)), Clock())
    for number in range(3_000):
        gate._note_failure(("1.2.3.4", ""), 0.0)
        gate._note_failure((f"10.0.{number // 250}.{number % 250}", ""), 0.0)
    assert gate._failures["1.2.3.4", ""] == (3_000, 0.0)


def test_a_named_proxy_is_believed() -> None:
    """Its header names the user; without a file all are viewers."""
    client = client_of(Settings(dashboard_sign_in="proxy"))
    answer = client.get("/page", headers={sign_in.USER_HEADER: "ann"})
    assert answer.json == {"user": "ann", "role": "viewer"}
    for name in ("", "x" * 200):
        assert client.get("/page", headers={sign_in.USER_HEADER: name}).status_code == 401


def test_nobody_else_is(users: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same header from elsewhere is 401, whatever it says of its way, and one line for who has set it up."""
    settings = Settings(dashboard_sign_in="proxy", dashboard_proxies="10.0.0.0/8", dashboard_users_file=users)
    client = client_of(settings)
    claims = {sign_in.USER_HEADER: "bob", "X-Forwarded-For": "10.0.0.1"}
    assert client.get("/page", headers=claims).status_code == 401
    (line,) = [each.getMessage() for each in caplog.records]
    assert line == "127.0.0.1 names a user and is not believed: it is none of the proxies (SENSORBUS_DASHBOARD_PROXIES)"
    answer = client.get("/page", headers=claims, environ_base={"REMOTE_ADDR": "10.1.2.3"})
    assert answer.json == {"user": "bob", "role": "operator"}
    assert client.get("/page").status_code == 401
    assert len(caplog.records) == 1  # who names nobody is a stranger like any


def test_a_name_of_the_proxy_that_is_none_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """With the header and without the name; who is not named at all is a stranger like any."""
    client = client_of(Settings(dashboard_sign_in="proxy"))
    for sent in (b"m\xfcller", b"", None):
        named = {} if sent is None else {"HTTP_X_FORWARDED_USER": sent.decode("latin-1")}
        assert client.get("/page", environ_overrides=named).status_code == 401
    (line,) = [each.getMessage() for each in caplog.records]
    said = "the proxy's name for who asks from 127.0.0.1 is not 1 to 128 printable characters in UTF-8"
    assert line == f"{said} (X-Forwarded-User)"


def test_a_password_that_is_no_utf_8_is_one_line(users: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Some programs send Latin-1: whoever set one up finds out why it is refused. Nothing of it is shown."""
    client = with_passwords(users)
    for sent in ("müller:x".encode("latin-1"), "müller:x".encode()):
        given = f"Basic {base64.b64encode(sent).decode()}"
        assert client.get("/page", headers={"Authorization": given}).status_code == 401
    assert [each.getMessage() for each in caplog.records] == [
        "name and password from 127.0.0.1 cannot be read: they are no UTF-8 in base64",
        "wrong password or name from 127.0.0.1",
    ]


def test_passwords_are_in_no_log(users: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong one is logged with its address alone."""
    status(with_passwords(users), "ann", f"{PASSWORD}!")
    assert PASSWORD not in caplog.text
    assert "wrong password or name from 127.0.0.1" in caplog.text


def test_the_account_page_is_for_all_ways_of_signing_in(users: Path) -> None:
    """Name and role, behind the prefix; not for who is not known, and not there when nobody is asked."""
    client = client_of(Settings(dashboard_sign_in="basic", dashboard_users_file=users, dashboard_url_prefix="/x/"))
    answer = client.get("/x/account", auth=("bob", PASSWORD))
    assert "signed in as bob, with the role operator" in answer.text
    assert "<form" not in answer.text
    assert client.get("/x/account").status_code == 401
    assert client_of(Settings(dashboard_sign_in="off")).get("/account").json == {"user": None, "role": None}


def test_a_probe_without_a_name_is_told_yes_or_no(users: Path) -> None:
    """An orchestrator has no password and must know when a worker is ready; the reasons are for those who are known."""
    for settings in (
        Settings(dashboard_sign_in="basic", dashboard_users_file=users),
        Settings(dashboard_sign_in="proxy"),
    ):
        server = Flask("test", static_folder=None)
        feed = StillFeed(settings)
        ops.register(server, feed)
        sign_in.install(server, settings)
        client = server.test_client()
        stranger = client.get("/readyz")
        assert (stranger.status_code, stranger.json) == (503, {"status": "not ready"})
        known = client.get("/readyz", auth=("ann", PASSWORD), headers={sign_in.USER_HEADER: "ann"})
        assert known.json == {"status": "not ready", "reasons": feed.readiness()}


def test_a_person_who_is_refused_has_a_page_and_a_program_has_json(users: Path) -> None:
    """With the status, the browser's question and the seconds to wait in both."""
    client = with_passwords(users)
    person = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for headers, mimetype in ((person, "text/html"), ({}, "application/json")):
        asked = client.get("/page", headers=headers)
        assert (asked.status_code, asked.mimetype) == (401, mimetype)
        assert asked.headers["WWW-Authenticate"].startswith("Basic realm=")
    for word in "xyz":
        client.get("/page", auth=("ann", word))
    waits = client.get("/page", auth=("ann", PASSWORD), headers=person)
    assert (waits.status_code, waits.headers["Retry-After"]) == (429, "2")
    assert "Wait 2 s" in waits.get_data(as_text=True)
    assert client.get("/page", auth=("ann", PASSWORD)).get_json() == {"error": "too many wrong passwords; wait"}


def test_a_person_whom_no_proxy_names_is_told_of_it() -> None:
    """With the page's 401."""
    client = client_of(Settings(dashboard_sign_in="proxy"))
    told = client.get("/page", headers={"Accept": "text/html"})
    assert (told.status_code, told.mimetype) == (401, "text/html")
    assert "by way of a proxy" in told.get_data(as_text=True)
