"""Every setting of sensorbus: one table, read from the environment once.

A field `alert_threshold_kelvin` is the variable `SENSORBUS_ALERT_THRESHOLD_KELVIN`. Its type, default, bounds
and description here are what docs/settings.md, .env.example and the error messages say; tests hold them to it.
"""

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from sensorbus.contract import hints
from sensorbus.contract.errors import SettingsError
from sensorbus.contract.kafka_options import KAFKA_PREFIX, file_text, kafka_option, kafka_warning
from sensorbus.contract.messages import TimeRules
from sensorbus.contract.topics import Topic

PREFIX: Final = "SENSORBUS_"
DEFAULT_BOOTSTRAP_SERVERS: Final = "localhost:9092"
#: How often a device may report, and how many the simulator makes: `sensorbus up` passes both on to it.
SHORTEST_PERIOD_MS: Final = 10
LONGEST_PERIOD_MS: Final = 86_400_000
MOST_SIMULATED_DEVICES: Final = 1_000_000
#: Of a window and its grace; each is some 40 bytes of a device's state, which is a record of 1 MB at most.
MOST_STEPS: Final = 10_000
Milliseconds = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseModel):
    """The settings as this process sees them; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap_servers: str | None = Field(
        None,
        description="Kafka brokers, `host:port` with commas between. Unset: `sensorbus up` starts the embedded broker, "
        f"everything else looks at `{DEFAULT_BOOTSTRAP_SERVERS}`.",
    )
    kafka_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Any other option of librdkafka, one variable each: `SENSORBUS_KAFKA_SECURITY_PROTOCOL` is "
        "`security.protocol`. With `_FILE` at the end, the value is read from that file.",
    )
    embedded_broker: bool = Field(
        False,
        description="Set by `sensorbus up` for its children: the broker lacks what docs/embedded-broker.md lists. "
        "Not for you to set: with an Apache Kafka every part refuses it.",
    )
    topic_prefix: str = Field(
        "",
        pattern=r"^[a-zA-Z0-9._-]{0,100}$",
        description="Put before every topic name, for a cluster shared with others.",
    )
    topic_partitions: PositiveInt = Field(4, le=10_000, description="Partitions of a topic that we create; for life.")
    topic_replication_factor: PositiveInt = Field(1, le=10, description="Replicas of a topic that we create.")
    topic_retention_ms: Milliseconds = Field(86_400_000, description="How long Kafka keeps readings and results.")
    dead_letter_retention_ms: Milliseconds = Field(604_800_000, description="How long Kafka keeps dead letters.")

    state_dir: Path = Field(Path(".sensorbus/state"), description="Where the jobs keep their state between restarts.")
    instance_id: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9._-]{1,64}$",
        description="Stable and unique name of this instance of a job. Set: the fastest recovery, and a broker outage "
        "is survived in place. Unset: members come and go freely. See docs/scaling.md.",
    )
    processing_guarantee: Literal["exactly-once", "at-least-once"] = Field(
        "exactly-once", description="At least once shows results sooner and may repeat them after a crash."
    )
    commit_interval_ms: Milliseconds = Field(
        150, description="Time between commits; with exactly-once a result is visible at the commit."
    )

    alert_threshold_kelvin: float = Field(
        303.0, ge=0, le=2000, description="A reading above it is an alert; equal is not."
    )
    alert_count_length_ms: Milliseconds = Field(5_000, description="Length of an alert-count window.")
    alert_count_step_ms: Milliseconds = Field(
        1_000,
        description="Step of the alert-count windows; divides the length. Length and grace are 10,000 steps at most.",
    )
    alert_count_grace_ms: int = Field(0, ge=0, description="How long an alert-count window waits for late alerts.")
    avg_temp_length_ms: Milliseconds = Field(10_000, description="Length of an avg-temp window.")
    avg_temp_step_ms: Milliseconds = Field(
        1_000,
        description="Step of the avg-temp windows; divides the length. Length and grace are 10,000 steps at most.",
    )
    avg_temp_grace_ms: int = Field(0, ge=0, description="How long an avg-temp window waits for late readings.")
    timestamp_zone: str = Field(
        "UTC", description="Zone of timestamps that have no offset: an IANA name, or `local` for this machine's zone."
    )
    clock_ahead_limit_ms: int = Field(
        300_000, ge=0, description="A reading further ahead of the broker's clock goes to `dead-letter`."
    )

    reading_period_ms: Milliseconds = Field(
        1_000,
        ge=SHORTEST_PERIOD_MS,
        le=LONGEST_PERIOD_MS,
        description="How often a device reports: STALE is said after 3 periods without a reading, OFFLINE after 10. "
        "`sensorbus up` has its simulated devices report so often.",
    )
    dashboard_host: str = Field("127.0.0.1", description="Address on which the page listens.")
    dashboard_port: Port = Field(8050, description="Port on which the page listens; 0: any free one.")
    dashboard_workers: PositiveInt = Field(1, le=64, description="gunicorn worker processes, each with its own ring.")
    dashboard_threads: PositiveInt = Field(16, le=256, description="Request threads of a worker.")
    dashboard_url_prefix: str = Field(
        "/",
        pattern=r"^/([a-zA-Z0-9_~-][a-zA-Z0-9._~-]*/)*$",
        description="Path of the page behind a reverse proxy; ends in `/`.",
    )
    dashboard_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses or networks of reverse proxies, with commas between: they alone are believed when they "
        "say that the browser came by https, and from which address.",
    )
    dashboard_sign_in: Literal["off", "proxy", "basic", "oidc"] = Field(
        "off",
        description="Who may see the page: everybody, whom a proxy names in `X-Forwarded-User`, who has a password, or "
        "who has signed in at an OpenID Connect provider.",
    )
    dashboard_users_file: Path | None = Field(
        None, description="File with a line `name:viewer:hash` or `name:operator:hash` for each user: docs/security.md."
    )
    dashboard_oidc_issuer: str | None = Field(
        None, description="Address of the OpenID Connect provider, letter by letter as it writes it in its tokens."
    )
    dashboard_oidc_client_id: str | None = Field(None, description="Name under which the provider knows the page.")
    dashboard_oidc_client_secret: SecretStr | None = Field(
        None, description="What the page proves itself with; unset: a public client, which PKCE alone protects."
    )
    dashboard_oidc_scope: str = Field("openid profile", description="What the provider is asked for.")
    dashboard_oidc_name_claim: str = Field(
        "preferred_username", description="Claim that holds the user's name; `sub` where it is missing."
    )
    dashboard_oidc_role_claim: str = Field(
        "roles", description="Claim that lists the user's roles; `realm_access.roles` is a claim within a claim."
    )
    dashboard_oidc_viewer_role: str = Field(
        "sensorbus-viewer", description="Role that lets a user see the page; `*`: whoever can sign in."
    )
    dashboard_oidc_operator_role: str = Field("sensorbus-operator", description="Role of who may see and change.")
    dashboard_oidc_audience: str | None = Field(
        None, description="Audience of the access tokens with which programs may come; unset: none may."
    )
    dashboard_session_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs the cookie of who has signed in; the same on all hosts. Long and random.",
    )
    dashboard_session_ms: Milliseconds = Field(
        28_800_000, description="After so long the provider is asked again who it is."
    )
    dashboard_tick_ms: Annotated[int, Field(ge=100, le=60_000)] = Field(
        1_000, description="How often the page asks for news."
    )
    dashboard_history_ms: Annotated[int, Field(ge=100_000, le=86_400_000)] = Field(
        900_000, description="How much history a worker holds, if the bound on rows allows."
    )
    dashboard_ring_rows: Annotated[int, Field(ge=1_000, le=100_000_000)] = Field(
        2_000_000, description="Readings that a worker holds at most; the oldest go first."
    )

    ops_host: str = Field("127.0.0.1", description="Address of /healthz, /readyz and /metrics of simulator and jobs.")
    ops_port: Port = Field(
        0,
        description="Port of /healthz, /readyz and /metrics of simulator and jobs; 0: off. "
        "`sensorbus up` gives each of them a port, from this one upwards.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What is logged.")
    log_format: Literal["text", "json"] = Field("text", description="One event per line, for people or for machines.")

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _check_bootstrap_servers(cls, value: str | None) -> str | None:
        if _is_address_of_more(value):
            raise ValueError(
                "it is a list of host:port; user and password belong into SENSORBUS_KAFKA_SASL_USERNAME and _PASSWORD"
            )
        for address in (value or "").split(",") if value else ():
            host, _, port = address.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) <= 65535:  # noqa: PLR2004  # the largest port
                raise ValueError(f"{address.strip()!r} is not host:port")
        return value

    @field_validator("dashboard_proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        for address in value.split(","):
            try:
                ip_network(address.strip())
            except ValueError:
                raise ValueError(f"{address.strip()!r} is no address and no network such as 10.0.0.0/8") from None
        return value

    @field_validator("dashboard_oidc_issuer")
    @classmethod
    def _check_issuer(cls, value: str | None) -> str | None:
        if value and not re.match(r"https://[^/]|http://(localhost|127\.0\.0\.1)[:/]", value):
            raise ValueError("it is no https:// address")
        return value

    @field_validator("timestamp_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        if value != "local":
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"{value!r} is neither an IANA zone such as Europe/Berlin nor `local`") from None
        return value

    @model_validator(mode="after")
    def _check_windows(self) -> Self:
        for job in ("alert_count", "avg_temp"):
            length_ms, step_ms = getattr(self, f"{job}_length_ms"), getattr(self, f"{job}_step_ms")
            if length_ms % step_ms:
                raise ValueError(
                    f"{variable_name(job)}_STEP_MS={step_ms} does not divide {variable_name(job)}_LENGTH_MS={length_ms}"
                )
            if (steps := (length_ms + getattr(self, f"{job}_grace_ms")) // step_ms) > MOST_STEPS:
                raise ValueError(
                    f"{variable_name(job)}_LENGTH_MS and _GRACE_MS are {steps} times _STEP_MS={step_ms}, more than "
                    f"{MOST_STEPS}: Kafka would not take the state of a device"
                )
        return self

    @model_validator(mode="after")
    def _check_sign_in(self) -> Self:
        needed = ("dashboard_oidc_issuer", "dashboard_oidc_client_id", "dashboard_session_secret")
        missing = [variable_name(field) for field in needed if getattr(self, field) is None]
        if self.dashboard_oidc_audience and self.dashboard_oidc_audience == self.dashboard_oidc_client_id:
            raise ValueError(
                f"{variable_name('dashboard_oidc_audience')} is the client's id: the page's own id tokens would let in"
            )
        if self.dashboard_sign_in == "oidc" and missing:
            raise ValueError(f"{variable_name('dashboard_sign_in')}=oidc needs {', '.join(missing)} too")
        return self

    @property
    def bootstrap_servers(self) -> str:
        """The address to connect to, the default included."""
        return self.kafka_bootstrap_servers or DEFAULT_BOOTSTRAP_SERVERS

    @property
    def is_exactly_once(self) -> bool:
        """Whether jobs commit outputs, state and offsets as one.

        Not on the embedded broker: it takes the offsets of a transaction and forgets them, so that a job started again
        would read everything again on top of its state.
        """
        return self.processing_guarantee == "exactly-once" and not self.embedded_broker

    @property
    def time_rules(self) -> TimeRules:
        """How a payload's timestamp becomes event time."""
        zone: tzinfo | None = None
        if self.timestamp_zone != "local":
            zone = UTC if self.timestamp_zone == "UTC" else ZoneInfo(self.timestamp_zone)
        return TimeRules(zone, self.clock_ahead_limit_ms)

    @property
    def dashboard_proxy_networks(self) -> list[IPv4Network | IPv6Network]:
        """Return `dashboard_proxies` as networks."""
        return [ip_network(text.strip()) for text in self.dashboard_proxies.split(",")]

    def topic_name(self, topic: Topic) -> str:
        """Return the topic's name on the cluster, prefix included."""
        return f"{self.topic_prefix}{topic.name}"

    def consumer_group(self, job: str) -> str:
        """Return a job's consumer group: its offsets, its changelogs and its transactions bear this name."""
        return f"{self.topic_prefix}sensorbus.{job}"


#: Fields that no message shows; with `_FILE` at the end, their variable names a file that holds the value.
SECRETS: Final = tuple(name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None)


def variable_name(field: str) -> str:
    """Return the environment variable of a field."""
    return f"{PREFIX}{field.upper()}"


def load(environ: Mapping[str, str], **overrides: object) -> tuple[Settings, dict[str, str]]:
    """Return the settings and, by name, a warning about each variable that nothing reads or that is dangerous.

    `overrides` are fields given on the command line; they win. Raises `SettingsError`, one line, naming the variable.
    """
    values: dict[str, Any] = {}
    kafka_options: dict[str, SecretStr] = {}
    warnings: dict[str, str] = {}
    known = {variable_name(field): field for field in Settings.model_fields if field != "kafka_options"}
    files = {f"{variable_name(field)}_FILE": field for field in SECRETS}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or not text:
            continue
        if name in known:
            values[known[name]] = text
        elif name in files:
            if environ.get(variable_name(files[name])):
                raise SettingsError(f"{name}: {variable_name(files[name])} is set too; one of them")
            values[files[name]] = file_text(name, text)
        elif name.startswith(KAFKA_PREFIX):
            option, value = kafka_option(name, text)
            if option in kafka_options:
                raise SettingsError(f"{name}: {option} is given twice, with and without _FILE")
            kafka_options[option] = SecretStr(value)
            if warning := kafka_warning(name, option, value):
                warnings[name] = warning
        else:
            warnings[name] = f"{name} is not a setting and changes nothing; {hints.nearest(name, known, PREFIX)}"
    given = {field: value for field, value in overrides.items() if value is not None}
    try:
        return Settings(**{**values, "kafka_options": kafka_options, **given}), warnings
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        message = hints.FORMS[str(problem["loc"][0])]
    if problem["type"] == "too_short":  # of a text that is secret; pydantic would speak of items
        message = f"it should have at least {problem['ctx']['min_length']} characters"
    if not problem["loc"]:
        return str(message)
    field = str(problem["loc"][0])
    if field in SECRETS or (field == "kafka_bootstrap_servers" and _is_address_of_more(problem["input"])):
        return f"{variable_name(field)} cannot be used: {message}"
    return f"{variable_name(field)}={problem['input']!r} cannot be used: {message}"


def _is_address_of_more(value: object) -> bool:
    """Tell whether an address holds more than host and port, such as a password, and is not to be repeated."""
    return isinstance(value, str) and ("@" in value or "/" in value)
