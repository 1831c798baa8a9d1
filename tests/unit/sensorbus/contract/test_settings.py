"""Settings: read once, refused in one line, secrets never shown."""

from datetime import UTC
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sensorbus.contract.errors import SettingsError
from sensorbus.contract.messages import TimeRules
from sensorbus.contract.settings import PREFIX, Settings, load, variable_name
from sensorbus.contract.topics import SENSOR

MARKER: Final = "marker-hunter2"


def loaded(**variables: str) -> Settings:
    """Return the settings of an environment that has these variables, without prefix."""
    settings, warnings = load({f"{PREFIX}{name}": text for name, text in variables.items()})
    assert warnings == {}
    return settings


def refusal(**variables: str) -> str:
    """Return the line with which an environment is refused."""
    with pytest.raises(SettingsError) as caught:
        loaded(**variables)
    return str(caught.value)


def test_nothing_set_is_the_defaults() -> None:
    """An empty environment is a working one, and other programs' variables are theirs."""
    settings, warnings = load({"PATH": "/usr/bin", "KAFKA_BOOTSTRAP_SERVERS": "elsewhere:9092"})
    assert warnings == {}
    assert settings == Settings()
    assert settings.bootstrap_servers == "localhost:9092"


def test_a_variable_is_its_field_in_capitals() -> None:
    """Text becomes the field's type."""
    settings = loaded(ALERT_THRESHOLD_KELVIN="310.5", TOPIC_PARTITIONS="16", EMBEDDED_BROKER="true", STATE_DIR="/state")
    assert (settings.alert_threshold_kelvin, settings.topic_partitions) == (310.5, 16)
    assert settings.embedded_broker is True
    assert settings.state_dir == Path("/state")
    assert variable_name("alert_threshold_kelvin") == "SENSORBUS_ALERT_THRESHOLD_KELVIN"


def test_an_empty_variable_is_not_set() -> None:
    """`SENSORBUS_X=` is the way to take a value back in a compose file."""
    assert loaded(TOPIC_PARTITIONS="", KAFKA_SASL_PASSWORD="") == Settings()


def test_the_command_line_wins() -> None:
    """An option that was given beats the environment, and one that was not (None) does not."""
    environment = {"SENSORBUS_DASHBOARD_PORT": "9000", "SENSORBUS_DASHBOARD_WORKERS": "2"}
    settings, _ = load(environment, dashboard_port=9001, dashboard_workers=None)
    assert (settings.dashboard_port, settings.dashboard_workers) == (9001, 2)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ALERT_TRESHOLD_KELVIN", "did you mean SENSORBUS_ALERT_THRESHOLD_KELVIN?"),
        ("THRESHOLD_KELVIN", "did you mean SENSORBUS_ALERT_THRESHOLD_KELVIN?"),
        ("DASHBORD_PORT", "did you mean SENSORBUS_DASHBOARD_PORT?"),
        ("XYZ", "docs/settings.md lists the known ones"),
    ],
)
def test_an_unknown_name_is_a_warning_with_the_nearest_known_one(name: str, hint: str) -> None:
    """A slip of the pen is said and changes nothing; the prefix alone is no likeness."""
    settings, warnings = load({f"{PREFIX}{name}": "1"})
    assert settings == Settings()
    assert warnings == {f"SENSORBUS_{name}": f"SENSORBUS_{name} is not a setting and changes nothing; {hint}"}


def test_a_check_of_tls_that_is_switched_off_is_a_warning_and_stays_off(tmp_path: Path) -> None:
    """In a file too; librdkafka is told all the same."""
    (tmp_path / "off").write_text("none\n")
    verified, named = "KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION", "KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM_FILE"
    settings, warnings = load({f"{PREFIX}{verified}": "false", f"{PREFIX}{named}": str(tmp_path / "off")})
    assert {name: text.partition(" switches")[0] for name, text in warnings.items()} == {
        f"{PREFIX}{verified}": f"{PREFIX}{verified}",
        f"{PREFIX}{named}": f"{PREFIX}{named}",
    }
    assert {name: value.get_secret_value() for name, value in settings.kafka_options.items()} == {
        "enable.ssl.certificate.verification": "false",
        "ssl.endpoint.identification.algorithm": "none",
    }


WRONG: Final = {
    "TOPIC_PARTITIONS": ("0", "-1", "4.5", "four", "10001", "1e3", "٤x"),
    "TOPIC_RETENTION_MS": ("0", "1 day"),
    "ALERT_THRESHOLD_KELVIN": ("-1", "2000.1", "nan", "inf", "30 C"),
    "PROCESSING_GUARANTEE": ("exactly_once", "at-most-once"),
    "EMBEDDED_BROKER": ("maybe", "2"),
    "TOPIC_PREFIX": ("a b", "ä", "x" * 101, "a/b"),
    "INSTANCE_ID": ("a b", "x" * 65, "a\nb"),
    "TIMESTAMP_ZONE": ("Berlin", "../etc/passwd", "Europe", "UTC+1", "\0"),
    "KAFKA_BOOTSTRAP_SERVERS": ("kafka", "kafka:", ":9092", "kafka:0", "kafka:65536", "kafka:²", "a:1,b", ",", "a:1,"),
    "DASHBOARD_PORT": ("65536", "-1", "http"),
    "DASHBOARD_URL_PREFIX": ("sensorbus", "/sensorbus", "//x/", "/a b/", "/../"),
    "DASHBOARD_TICK_MS": ("99", "60001"),
    "LOG_LEVEL": ("debug", "TRACE"),
    "LOG_FORMAT": ("xml",),
    "AVG_TEMP_GRACE_MS": ("-1",),
    "DASHBOARD_PROXIES": ("*", "proxy.example.com", "10.0.0.1,", "10.0.0.1/8"),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_one_line_that_names_the_variable(name: str, text: str) -> None:
    """The line has the variable, the value and what is wrong; it is printable whatever the value."""
    line = refusal(**{name: text})
    assert line.startswith(f"SENSORBUS_{name}={text!r} cannot be used: ")
    assert line.isprintable()


def test_several_wrong_values_are_all_said_at_once() -> None:
    """One line, both names: nobody has to start twice to find the second."""
    line = refusal(TOPIC_PARTITIONS="x", LOG_LEVEL="y")
    assert "SENSORBUS_TOPIC_PARTITIONS='x'" in line
    assert "; SENSORBUS_LOG_LEVEL='y'" in line


@pytest.mark.parametrize("job", ["ALERT_COUNT", "AVG_TEMP"])
def test_a_step_divides_its_length(job: str) -> None:
    """A step that does not is refused with both variables."""
    line = refusal(**{f"{job}_LENGTH_MS": "10000", f"{job}_STEP_MS": "3000"})
    assert line == f"SENSORBUS_{job}_STEP_MS=3000 does not divide SENSORBUS_{job}_LENGTH_MS=10000"
    assert loaded(**{f"{job}_LENGTH_MS": "9000", f"{job}_STEP_MS": "3000"})


@pytest.mark.parametrize("job", ["ALERT_COUNT", "AVG_TEMP"])
@pytest.mark.parametrize(("length", "grace"), [("10001000", "0"), ("5000000", "5001000"), ("10000000", str(10**30))])
def test_a_window_and_its_grace_have_so_many_steps_at_most(job: str, length: str, grace: str) -> None:
    """With more, a device's state would be refused by Kafka, and the job would end at every start."""
    line = refusal(**{f"{job}_LENGTH_MS": length, f"{job}_GRACE_MS": grace})
    assert line.startswith(f"SENSORBUS_{job}_LENGTH_MS and _GRACE_MS are 1000")
    assert "times _STEP_MS=1000, more than 10000" in line
    assert loaded(**{f"{job}_LENGTH_MS": "5000000", f"{job}_GRACE_MS": "5000000"})


def test_settings_are_frozen() -> None:
    """No part changes a setting while others read it."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().topic_partitions = 8  # type: ignore[misc]  # the assignment is what must fail


def test_unknown_fields_are_refused_in_code() -> None:
    """A test or a command cannot set what does not exist."""
    with pytest.raises(ValidationError, match="topic_partition"):
        Settings(topic_partition=8)  # type: ignore[call-arg]  # the name is what must fail


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("KAFKA_SECURITY_PROTOCOL", "security.protocol"),
        ("KAFKA_SASL_PASSWORD", "sasl.password"),
        ("KAFKA_QUEUE_BUFFERING_MAX_KBYTES", "queue.buffering.max.kbytes"),
        ("KAFKA_OPTIONS", "options"),
    ],
)
def test_any_other_kafka_variable_is_an_option_of_the_client(name: str, option: str) -> None:
    """Underscores are dots; the client itself refuses what it does not know."""
    assert loaded(**{name: "x"}).kafka_options[option].get_secret_value() == "x"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_an_option_can_come_from_a_file(tmp_path: Path, encoding: str) -> None:
    """`_FILE` reads it, without what editors put at the begin and the end: a byte order mark, a newline."""
    secret = tmp_path / "password"
    secret.write_text(f" {MARKER} \n", encoding=encoding)
    settings = loaded(KAFKA_SASL_PASSWORD_FILE=str(secret))
    assert settings.kafka_options["sasl.password"].get_secret_value() == f" {MARKER} "


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder or not text: one line with the variable and the reason."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "binary"):
        assert refusal(KAFKA_SASL_PASSWORD_FILE=str(path)).startswith(
            "SENSORBUS_KAFKA_SASL_PASSWORD_FILE: cannot read the file that it names: "
        )


def test_an_option_given_twice_is_refused(tmp_path: Path) -> None:
    """With and without `_FILE`: which one wins would be a guess."""
    (tmp_path / "password").write_text(MARKER, encoding="utf-8")
    line = refusal(KAFKA_SASL_PASSWORD="x", KAFKA_SASL_PASSWORD_FILE=str(tmp_path / "password"))  # noqa: S106  # no secret
    assert line == "SENSORBUS_KAFKA_SASL_PASSWORD_FILE: sasl.password is given twice, with and without _FILE"


def test_the_clients_own_options_of_files_are_not_read() -> None:
    """The client has options that end in `.file` themselves; it reads those."""
    settings = loaded(KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE="/run/secrets/key")
    assert (
        settings.kafka_options["sasl.oauthbearer.assertion.private.key.file"].get_secret_value() == "/run/secrets/key"
    )


@pytest.mark.parametrize("option", ["GROUP_ID", "ISOLATION_LEVEL", "TRANSACTIONAL_ID", "ENABLE_AUTO_COMMIT"])
def test_options_that_the_guarantees_rest_on_are_refused(option: str) -> None:
    """A reader of uncommitted records, or a group of two jobs, would be wrong in silence."""
    line = refusal(**{f"KAFKA_{option}": "x"})
    assert (
        line
        == f"SENSORBUS_KAFKA_{option} is refused: that nothing is lost or doubled rests on what sensorbus sets there"
    )


@pytest.mark.parametrize("address", [f"http://u:{MARKER}@h:9092", f"u:{MARKER}@h:9092", f"h:9092/{MARKER}"])
def test_an_address_that_may_hold_a_password_is_not_repeated(address: str) -> None:
    """It would stand in every message about the broker."""
    line = refusal(KAFKA_BOOTSTRAP_SERVERS=address)
    assert line.startswith("SENSORBUS_KAFKA_BOOTSTRAP_SERVERS")
    assert MARKER not in line


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("KAFKA_SSL_KEY_PEM", "SENSORBUS_KAFKA_SSL_KEY_LOCATION"),
        ("KAFKA_SSL_KEY_PEM_FILE", "SENSORBUS_KAFKA_SSL_KEY_LOCATION"),
        ("KAFKA_SSL_KEYSTORE_PEM", "SENSORBUS_KAFKA_SSL_KEYSTORE_LOCATION"),
        ("KAFKA_METADATA_BROKER_LIST", "SENSORBUS_KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_BOOTSTRAP_SERVERS_FILE", "SENSORBUS_KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_an_option_that_does_harm_is_refused_with_the_way_out(name: str, instead: str) -> None:
    """A private key in memory is printed by others, and a second address would be silently another cluster."""
    line = refusal(**{name: MARKER})
    assert line.startswith(f"SENSORBUS_{name} is refused: ")
    assert line.endswith(instead)
    assert MARKER not in line


def test_secrets_are_never_shown() -> None:
    """Neither `repr` nor `str` nor a dump of the settings has a secret, nor does an error about another setting."""
    options = {"KAFKA_SASL_PASSWORD": MARKER, "KAFKA_SSL_KEY_PASSWORD": MARKER, "KAFKA_SASL_OAUTHBEARER_CONFIG": MARKER}
    settings = loaded(**options)
    for shown in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert MARKER not in shown
    assert MARKER not in refusal(TOPIC_PARTITIONS="x", AVG_TEMP_STEP_MS="3000", **options)


def test_a_zone_is_read_once() -> None:
    """The rules for timestamps hold a zone object: UTC, an IANA zone, or None for this machine's."""
    assert Settings().time_rules == TimeRules(UTC, 300_000)
    assert loaded(TIMESTAMP_ZONE="Europe/Berlin").time_rules.zone == ZoneInfo("Europe/Berlin")
    assert loaded(TIMESTAMP_ZONE="local", CLOCK_AHEAD_LIMIT_MS="0").time_rules == TimeRules(None, 0)


def test_a_topic_has_the_prefix() -> None:
    """On a shared cluster every topic is under the prefix."""
    assert Settings().topic_name(SENSOR) == "sensor"
    assert loaded(TOPIC_PREFIX="plant-7.").topic_name(SENSOR) == "plant-7.sensor"


@pytest.mark.parametrize("servers", ["kafka:9092", "a:1, b:65535", "[::1]:9092", "10.0.0.1:19092"])
def test_addresses_are_host_and_port(servers: str) -> None:
    """One or several, names or numbers."""
    assert loaded(KAFKA_BOOTSTRAP_SERVERS=servers).bootstrap_servers == servers


@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), st.text(max_size=20)))
def test_no_text_raises_another_error(fields: dict[str, str]) -> None:
    """Whatever stands in our variables, it is settings or a line of our own."""
    try:
        load({variable_name(field): text for field, text in fields.items()})
    except SettingsError as error:
        assert str(error).startswith("SENSORBUS_")  # noqa: PT017  # settings or a line, both are right


def test_every_field_has_a_description() -> None:
    """docs/settings.md is made of them."""
    assert [name for name, field in Settings.model_fields.items() if not (field.description or "").endswith(".")] == []


OIDC = {
    "DASHBOARD_SIGN_IN": "oidc",
    "DASHBOARD_OIDC_ISSUER": "https://id.example.com/",
    "DASHBOARD_OIDC_CLIENT_ID": "a",
}


def test_a_secret_of_ours_can_come_from_a_file(tmp_path: Path) -> None:
    """As Kafka's can; both at once are refused."""
    secret = tmp_path / "secret"
    secret.write_text(f"{MARKER * 4}\n")
    settings = loaded(**OIDC, DASHBOARD_SESSION_SECRET_FILE=str(secret))
    assert settings.dashboard_session_secret is not None
    assert settings.dashboard_session_secret.get_secret_value() == MARKER * 4
    line = refusal(**OIDC, DASHBOARD_SESSION_SECRET=MARKER * 4, DASHBOARD_SESSION_SECRET_FILE=str(secret))
    assert line == "SENSORBUS_DASHBOARD_SESSION_SECRET_FILE: SENSORBUS_DASHBOARD_SESSION_SECRET is set too; one of them"


def test_a_secret_that_cannot_be_used_is_not_shown() -> None:
    """Too short to sign with."""
    line = refusal(**OIDC, DASHBOARD_SESSION_SECRET=MARKER)
    assert line == "SENSORBUS_DASHBOARD_SESSION_SECRET cannot be used: it should have at least 32 characters"
    assert MARKER not in line


def test_sign_in_at_a_provider_says_what_it_lacks() -> None:
    """All at once; the provider is reached by https, and its tokens for the page are none for programs."""
    assert refusal(DASHBOARD_SIGN_IN="oidc") == (
        "SENSORBUS_DASHBOARD_SIGN_IN=oidc needs SENSORBUS_DASHBOARD_OIDC_ISSUER, SENSORBUS_DASHBOARD_OIDC_CLIENT_ID, "
        "SENSORBUS_DASHBOARD_SESSION_SECRET too"
    )
    for issuer in ("http://id.example.com", "http://localhost.example.com", "id.example.com", "https://"):
        assert "it is no https:// address" in refusal(DASHBOARD_OIDC_ISSUER=issuer)
    assert "id tokens would let in" in refusal(**OIDC, DASHBOARD_OIDC_AUDIENCE="a")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DASHBOARD_URL_PREFIX", "/temperature", "it begins and ends with /"),
        ("TOPIC_PREFIX", "a b", "it may have up to 100 letters"),
        ("INSTANCE_ID", "a b", "it may have up to 64 letters"),
    ],
)
def test_a_form_is_said_in_words(name: str, value: str, said: str) -> None:
    """And not as a regular expression."""
    assert refusal(**{name: value}).startswith(f"SENSORBUS_{name}={value!r} cannot be used: {said}")
