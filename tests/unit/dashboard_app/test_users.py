"""The file of users, read and refused."""

from pathlib import Path

import pytest
from werkzeug.security import generate_password_hash

from dashboard_app.users import User, name_in, read_users
from sensorbus.contract.errors import SettingsError
from sensorbus.contract.settings import Settings


def written(tmp_path: Path, text: str, **changes: object) -> Settings:
    """Return settings with a file of users that holds the text."""
    file = tmp_path / "users"
    file.write_text(text, encoding="utf-8")
    of = Settings(dashboard_sign_in="basic", dashboard_users_file=file)
    return of.model_copy(update=changes)


def test_a_line_is_a_user(tmp_path: Path) -> None:
    """A hash may hold colons; comments and empty lines are none."""
    settings = written(tmp_path, "# who\n\nann:viewer:scrypt:1024:8:1$s$a0\nbob:operator:pbkdf2:sha256:9$s$b1\n")
    assert read_users(settings) == {
        "ann": User("ann", "viewer", "scrypt:1024:8:1$s$a0"),
        "bob": User("bob", "operator", "pbkdf2:sha256:9$s$b1"),
    }


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    """Some editors put one at the begin of a file."""
    assert list(read_users(written(tmp_path, "\ufeffbob:operator:", dashboard_sign_in="proxy"))) == ["bob"]


@pytest.mark.parametrize("name", ["ann", "müller", "张伟", "voilà", "CÅ", "ü" * 128, "ann b. o'neil"])
def test_a_header_gives_a_name_in_utf_8(name: str) -> None:
    """Also one whose last byte is a space (à) or the end of a line (Å) to who takes it for Latin-1."""
    assert name_in(name.encode().decode("latin-1")) == name


@pytest.mark.parametrize(
    "sent", [b"", b"m\xfcller", b"\xe5\xbc", b"a\x00b", "a\x85b".encode(), "a\u202eb".encode(), ("ü" * 129).encode()]
)
def test_a_header_with_no_name_gives_none(sent: bytes) -> None:
    """Latin-1, half a character, control characters, what turns the text around, too long."""
    assert name_in(sent.decode("latin-1")) is None


def test_a_header_of_a_server_that_decodes_otherwise_gives_none() -> None:
    """WSGI has no such characters; a server that hands them on has guessed."""
    assert name_in("张伟") is None


def test_a_letter_in_two_parts_is_the_letter(tmp_path: Path) -> None:
    """Some systems write an `ü` so: who comes with one gets the role of the other, and both are one line too many."""
    parts = "mu\u0308ller"
    settings = written(tmp_path, f"{parts}:operator:", dashboard_sign_in="proxy")
    assert read_users(settings)["müller"].role == "operator"
    assert name_in(parts.encode().decode("latin-1")) == "müller"
    with pytest.raises(SettingsError, match="line 2 has the name of an earlier line"):
        read_users(written(tmp_path, f"{parts}:operator:\nmüller:viewer:", dashboard_sign_in="proxy"))


@pytest.mark.parametrize("text", ["ann", "ann:admin:x", "ann:viewer:", ":viewer:x", "ann:viewer"])
def test_a_file_of_no_use_is_one_line_with_the_variable(tmp_path: Path, text: str) -> None:
    """It names the line, and shows nothing of it."""
    with pytest.raises(SettingsError, match="SENSORBUS_DASHBOARD_USERS_FILE: line 2 is not name:viewer:hash"):
        read_users(written(tmp_path, f"# first\n{text}\n"))


@pytest.mark.parametrize("way", ["basic", "proxy"])
def test_a_name_that_comes_twice_is_refused_with_its_line(tmp_path: Path, way: str) -> None:
    """Nobody can tell which of the two was meant; the name itself is not shown."""
    line = "ann:%s:pbkdf2:sha256:9$s$b1\n"
    text = line % "viewer" + "# and again\n" + line % "operator"
    with pytest.raises(SettingsError, match="USERS_FILE: line 3 has the name of an earlier line") as told:
        read_users(written(tmp_path, text, dashboard_sign_in=way))
    assert "ann" not in str(told.value)


#: With parameters that the algorithm refuses: each try at a password would be a 500.
UNUSABLE = (
    "scrypt:0:8:1$salt$ab",
    "scrypt:3:8:1$salt$ab",
    "scrypt:16:8:0$salt$ab",
    "scrypt:999999999:8:1$salt$ab",
    "pbkdf2:md99:1$salt$ab",
    "pbkdf2:sha256:0$salt$ab",
)


@pytest.mark.parametrize(
    "text", ["hunter2", "$2y$05$abcdefghijklmnopqrstuv", "md5$salt$a0", "scrypt:1024:8:1$salt$A0", *UNUSABLE]
)
def test_a_hash_that_cannot_be_checked_is_refused(tmp_path: Path, text: str) -> None:
    """The password itself, what htpasswd makes: the first would never let in, the second would answer 500."""
    with pytest.raises(SettingsError, match="USERS_FILE: line 1 has no hash of the kind") as told:
        read_users(written(tmp_path, f"ann:viewer:{text}\n"))
    assert text not in str(told.value)


def test_the_hash_of_the_docs_is_taken(tmp_path: Path) -> None:
    """What `generate_password_hash` makes by default."""
    assert read_users(written(tmp_path, f"ann:viewer:{generate_password_hash('hunter2')}\n"))


def test_a_proxy_needs_no_hashes_and_no_file(tmp_path: Path) -> None:
    """It has checked the passwords itself; the file gives roles only."""
    assert read_users(written(tmp_path, "bob:operator:", dashboard_sign_in="proxy"))["bob"].role == "operator"
    assert read_users(Settings(dashboard_sign_in="proxy")) == {}


def test_passwords_need_a_file_with_users(tmp_path: Path) -> None:
    """Not set, not readable, empty: one line each."""
    for settings, said in (
        (Settings(dashboard_sign_in="basic"), "is not set"),
        (Settings(dashboard_sign_in="basic", dashboard_users_file=tmp_path / "none"), "cannot read"),
        (written(tmp_path, "# nobody\n"), "has no user"),
    ):
        with pytest.raises(SettingsError, match=f"SENSORBUS_DASHBOARD_USERS_FILE.*{said}"):
            read_users(settings)
