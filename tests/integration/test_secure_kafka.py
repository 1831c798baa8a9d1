"""A real Kafka with TLS, passwords or certificates, and rights.

Exactly those rights of docs/security.md.
"""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, TOPICS
from sensorbus.runtime import kafka
from sensorbus.runtime.raw_consumer import RawConsumer
from sensorbus.runtime.stored_batches import batches, records
from tests.support import real_kafka
from tests.support.certificates import Authority, Issued
from tests.support.dashboards import START_MS, Dashboard, dashboard
from tests.support.needs import need
from tests.support.oidc_provider import SECRET, Provider
from tests.support.parts import REPOSITORY, Part, environment_of, part
from tests.support.rights import Right, rights
from tests.support.secure_kafka import OTHER_HOST, SecureKafka
from tests.support.shell import Shell, blocks
from tests.support.ticks import get
from tests.support.topics import Record, produce, values
from tests.support.waiting import wait_until

JOBS: Final = ("alert", "alert-count", "avg-temp")
USERS: Final = ("topics", "simulator", *JOBS, "dashboard", "operator", "replay")
#: What Quix says when a topic's settings cannot be read.
DENIED_CONFIGS: Final = 'verify the "DescribeConfigs" operation is allowed for your credentials'
#: How the users come in, by turns.
KINDS: Final = ("plain", "token", "password", "certificate")
PASSWORD: Final = "marker-hunter2"  # noqa: S105  # no secret: the test looks for it in logs

pytestmark = [pytest.mark.real_kafka, pytest.mark.timeout(180)]


@dataclass
class Guarded:
    """A broker with users, certificates of the same names, and buses on it."""

    broker: SecureKafka
    folder: Path
    certificates: Mapping[str, Issued] = field(default_factory=dict)

    def bus(self, prefix: str) -> Settings:
        """Return a bus that may do everything: who gives rights has them."""
        state = self.folder / f"state-{prefix}"
        return Settings(kafka_bootstrap_servers=self.broker.address, topic_prefix=prefix, state_dir=state)

    def as_user(self, bus: Settings, user: str, *, by: str = "password") -> Settings:
        """Return the bus as a user reaches it."""
        if by == "certificate":
            return self.broker.with_certificate(bus, self.certificates[user], ssl_key_password=PASSWORD)
        if by == "token":
            return self.broker.with_token(bus, user)
        if by == "plain":
            return self.broker.with_password(bus, user, PASSWORD, sasl_mechanism="PLAIN")
        return self.broker.with_password(bus, user, PASSWORD)

    def allow_all(self, prefix: str, *without: str) -> None:
        """Give what the table gives to all users, by both names, but not these kinds of things to the jobs."""
        for right in rights(prefix):
            if not (right.kind in without and right.user in JOBS):
                self.broker.allow(right)
                self.broker.allow(right, f"User:CN={right.user}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Give a broker that all tests of the module share; each has a topic prefix of its own."""
    need(real_kafka.why_not())
    folder = tmp_path_factory.mktemp("secure")
    plain = dict.fromkeys(USERS, PASSWORD)
    with (
        Provider(programs=set(USERS), lasts_s=20) as provider,
        SecureKafka(folder / "kafka", provider, plain) as broker,
    ):
        for user in USERS:
            broker.add_user(user, PASSWORD)
        yield Guarded(broker, folder, {user: broker.authority.issue(user, password=PASSWORD) for user in USERS})


def has_said(each: Part, text: str) -> bool:
    """Tell whether a part has written that."""
    return text in each.said()


def is_reason(page: Dashboard, text: str) -> bool:
    """Tell whether that is why the page has not all topics."""
    return text in page.ready()[1].get("topics", "")


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sensorbus` with these arguments to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sensorbus", *arguments],
        cwd=REPOSITORY,
        env=environment_of(settings, COLUMNS="500"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def command_lines(prefix: str) -> list[str]:
    """Return those of the processes of a bus, which are in every user's list of processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if f"SENSORBUS_TOPIC_PREFIX={prefix}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
    return found


def test_every_part_runs_with_the_rights(guarded: Guarded, tmp_path: Path) -> None:
    """From `topics create` over the jobs to the page, bad input included; no secret is in any log."""
    bus = guarded.bus("least-")
    guarded.allow_all("least-")
    mine = {user: guarded.as_user(bus, user, by=by) for user, by in zip(USERS, cycle(KINDS), strict=False)}
    mine["alert"] = mine["alert"].model_copy(update={"instance_id": "one"})  # both kinds of transactional ids
    made = command(mine["topics"], "topics", "create")
    assert (made.returncode, made.stdout.count("created")) == (0, len(TOPICS)), made.stderr
    page = dashboard(mine["dashboard"], tmp_path)
    with ExitStack() as stack:
        for job in JOBS:
            stack.enter_context(part(mine[job], tmp_path / f"{job}.log", "processors", job))
        stack.enter_context(part(mine["simulator"], tmp_path / "simulator.log", "simulator"))
        stack.enter_context(page.part)
        hot = encode_reading("hot", iso_timestamp(START_MS), 99.0)
        produce(bus, SENSOR, [Record(b"hot", b"not json"), Record(b"another key", hot)])
        for topic in (ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER):
            wait_until(partial(values, bus, topic), 60, f"records in {topic.name}", tmp_path / "alert.log")
        page.wait_ready()
        browser = page.ticker()
        wait_until(lambda: "hot" in browser.alerted(browser.tick()), 30, "the alert", page.part.log)
        examined = command(mine["operator"], "doctor")
        assert (examined.returncode, "warning" in examined.stdout) == (0, False), examined.stdout
        assert command(mine["operator"], "verify").returncode == 0
        shown = [get(f"{page.root}/{path}")[1] for path in ("", "readyz", "metrics", "_dash-layout")]
        lines = command_lines("least-")
        shown += [str(browser.tick()), *lines]
        assert len(lines) > len(JOBS) + 1  # and the simulator, the page and its worker
    logs = [log.read_text() for log in tmp_path.glob("*.log")]
    assert not [text for text in (*logs, *shown) if PASSWORD in text or SECRET in text]
    assert not [said for said in logs if "authoriz" in said.lower()]


@pytest.mark.parametrize("by", KINDS)
def test_the_client_that_looks_at_batches_is_let_in(guarded: Guarded, by: str) -> None:
    """As librdkafka is, by the same settings, in small letters too, and with the rights of a job alone."""
    bus = guarded.bus(f"raw-{by}-")
    guarded.allow_all(f"raw-{by}-")
    assert command(guarded.as_user(bus, "topics"), "topics", "create").returncode == 0
    produce(bus, SENSOR, [Record(b"key", b"value")])
    user = guarded.as_user(bus, "alert", by=by)
    protocol = SecretStr(user.kafka_options["security.protocol"].get_secret_value().lower())
    user = user.model_copy(update={"kafka_options": user.kafka_options | {"security.protocol": protocol}})
    with closing(RawConsumer(user)) as raw:
        found = [raw.fetch(bus.topic_name(SENSOR), partition, 0).stored for partition in range(4)]
    ((record,),) = [list(records(batch)) for stored in found for batch in batches(stored)]
    assert (record.key, record.value) == (b"key", b"value")


WRONG: Final = {
    "password": "refuses this user and password (SENSORBUS_KAFKA_SASL_USERNAME, SENSORBUS_KAFKA_SASL_PASSWORD)",
    "user": "refuses this user and password (SENSORBUS_KAFKA_SASL_USERNAME, SENSORBUS_KAFKA_SASL_PASSWORD)",
    "plain password": "refuses this user and password (SENSORBUS_KAFKA_SASL_USERNAME, SENSORBUS_KAFKA_SASL_PASSWORD)",
    "client secret": "(SENSORBUS_KAFKA_SASL_OAUTHBEARER_CLIENT_ID, SENSORBUS_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET)",
    "token endpoint": " (SENSORBUS_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL)",
    "token": "refuses our token (SENSORBUS_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL): its issuer, ",
    "mechanism": "takes only the SASL mechanisms SCRAM-SHA-512,PLAIN,OAUTHBEARER (SENSORBUS_KAFKA_SASL_MECHANISM)",
    "authority": "is not accepted: unable to get local issuer certificate (SENSORBUS_KAFKA_SSL_CA_LOCATION)",
    "expired server": "is not accepted: certificate has expired (SENSORBUS_KAFKA_SSL_CA_LOCATION)",
    "another name": f"is for {OTHER_HOST}, and not for 127.0.0.1 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS): give",
    "no certificate": "wants a client certificate, and none is given (SENSORBUS_KAFKA_SSL_CERTIFICATE_LOCATION)",
    "expired certificate": "refuses our certificate (SENSORBUS_KAFKA_SSL_CERTIFICATE_LOCATION): expired, or",
    "foreign certificate": "refuses our certificate (SENSORBUS_KAFKA_SSL_CERTIFICATE_LOCATION): expired, or",
    "no key": "wants a client certificate, and its key is not given (SENSORBUS_KAFKA_SSL_KEY_LOCATION)",
    "no TLS": "speaks no TLS there (SENSORBUS_KAFKA_SECURITY_PROTOCOL)",
    "TLS": "speaks SSL, not PLAINTEXT (SENSORBUS_KAFKA_SECURITY_PROTOCOL)",
    "TLS and a user": "speaks SASL_SSL, not PLAINTEXT (SENSORBUS_KAFKA_SECURITY_PROTOCOL)",
    "a user": "speaks SASL_SSL, not SSL (SENSORBUS_KAFKA_SECURITY_PROTOCOL)",
    "no user": "asks for no user and password there (SENSORBUS_KAFKA_SECURITY_PROTOCOL)",
}


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    """Give the address of a provider that Kafka does not know."""
    with Provider(programs=set(USERS)) as provider:
        yield provider.issuer


@pytest.fixture(scope="module")
def wrong(guarded: Guarded, stranger: str) -> Mapping[str, Settings]:
    """Give a bus that is reached wrongly in each of these ways."""
    broker, bus = guarded.broker, guarded.bus("wrong-")
    foreign = Authority(guarded.folder, "foreign")
    nobody = {"sasl_oauthbearer_token_endpoint_url": "http://127.0.0.1:9/"}
    other = {"ssl_ca_location": str(foreign.certificate)}
    keyless = str(guarded.certificates["alert"].certificate)
    return {
        "password": broker.with_password(bus, "alert", f"{PASSWORD}!"),
        "user": broker.with_password(bus, "nobody", PASSWORD),
        "plain password": broker.with_password(bus, "alert", f"{PASSWORD}!", sasl_mechanism="PLAIN"),
        "client secret": broker.with_token(bus, "alert", sasl_oauthbearer_client_secret=f"{SECRET}!"),
        "token endpoint": broker.with_token(bus, "alert", **nobody),
        "token": broker.with_token(bus, "alert", sasl_oauthbearer_token_endpoint_url=f"{stranger}/token"),
        "mechanism": broker.with_password(bus, "alert", PASSWORD, sasl_mechanism="SCRAM-SHA-256"),
        "authority": broker.with_password(bus, "alert", PASSWORD, **other),
        "expired server": broker.with_certificate(bus, None, broker.expired_address),
        "another name": broker.with_certificate(bus, None, broker.other_address),
        "no certificate": broker.with_certificate(bus, None),
        "expired certificate": broker.with_certificate(bus, broker.authority.issue("late", expired=True)),
        "foreign certificate": broker.with_certificate(bus, foreign.issue("stranger")),
        "no key": broker.with_certificate(bus, None, ssl_certificate_location=keyless),
        "no TLS": broker.with_certificate(bus, None, broker.address),
        "TLS": bus.model_copy(update={"kafka_bootstrap_servers": broker.tls_address}),
        "TLS and a user": bus.model_copy(update={"kafka_bootstrap_servers": broker.sasl_address}),
        "a user": broker.with_certificate(bus, None, broker.sasl_address),
        "no user": broker.with_password(bus, "alert", PASSWORD, security_protocol="SASL_PLAINTEXT").model_copy(
            update={"kafka_bootstrap_servers": broker.address}
        ),
    }


@pytest.fixture(scope="module")
def told(wrong: Mapping[str, Settings]) -> Mapping[str, subprocess.CompletedProcess[str]]:
    """Give what `doctor` says to each of them; some wait for their time-outs at once, all would be too many."""
    with ThreadPoolExecutor(6) as pool:
        return dict(zip(wrong, pool.map(lambda bus: command(bus, "doctor"), wrong.values()), strict=True))


@pytest.mark.parametrize("case", WRONG)
def test_who_is_not_let_in_is_told_why_in_one_line(
    told: Mapping[str, subprocess.CompletedProcess[str]], case: str
) -> None:
    """`doctor` names the setting; it says so once, and shows no secret."""
    done = told[case]
    (line,) = [line for line in done.stdout.splitlines() if "FAILED" in line]
    assert WRONG[case] in line
    assert done.returncode == 1
    assert (done.stderr, PASSWORD in done.stdout) == ("", False)


@pytest.mark.parametrize("case", ["password", "another name", "foreign certificate", "TLS and a user"])
def test_parts_that_are_not_let_in_say_it_once(wrong: Mapping[str, Settings], tmp_path: Path, case: str) -> None:
    """Simulator, a job and the page wait; the line that names the setting is there, and not one per try."""
    said = WRONG[case]
    page = dashboard(wrong[case], tmp_path)
    others = {"simulator": ("simulator",), "alert": ("processors", "alert")}
    with ExitStack() as stack:
        parts = [part(wrong[case], tmp_path / f"{name}.log", *words) for name, words in others.items()]
        for each in (*parts, page.part):
            stack.enter_context(each)
        for each in parts:
            wait_until(partial(has_said, each, said), 30, "the reason", each.log)
            assert each.said().count(said) <= 2
        wait_until(lambda: said in page.ready()[1].get("kafka", ""), 30, "the page's reason", page.part.log)
    assert all(PASSWORD not in log.read_text() for log in tmp_path.glob("*.log"))


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("GROUP", "the right READ on group <prefix>sensorbus.alert-count"),
        ("TRANSACTIONAL_ID", "the right WRITE on transactional id <prefix>sensorbus.alert-count.*"),
        ("TOPIC", "a right on a topic"),
    ],
)
def test_a_job_that_lacks_a_right_ends_with_one_line(guarded: Guarded, tmp_path: Path, kind: str, named: str) -> None:
    """It says which, as far as Kafka tells, and where they are listed."""
    prefix = f"lacks-{kind.lower().replace('_', '-')}-"
    bus = guarded.bus(prefix)
    kafka.ensure_topics(bus, "test")
    guarded.allow_all(prefix, kind)
    if kind == "TOPIC":
        for topic in TOPICS:
            guarded.broker.allow(Right("alert-count", "TOPIC", bus.topic_name(topic), False, ["DESCRIBE"]))
    job = part(guarded.as_user(bus, "alert-count"), tmp_path / "job.log", "processors", "alert-count")
    with job:
        job.wait(1, within_s=60)
    (line,) = [line for line in job.said().splitlines() if "ERROR" in line]
    assert f"lacks {named.replace('<prefix>', prefix)} (" in line or DENIED_CONFIGS in line
    assert "docs/" in line
    assert "Traceback" not in job.said()


def test_a_simulator_that_may_not_write_says_so(guarded: Guarded, tmp_path: Path) -> None:
    """The topic is named; the readings count as failed."""
    bus = guarded.bus("lacks-write-")
    kafka.ensure_topics(bus, "test")
    for topic in TOPICS:
        guarded.broker.allow(Right("simulator", "TOPIC", bus.topic_name(topic), False, ["DESCRIBE"]))
    simulator = part(guarded.as_user(bus, "simulator"), tmp_path / "simulator.log", "simulator", "--duration", "3")
    with simulator:
        wait_until(lambda: not simulator.is_running(), 40, "the simulator to end", simulator.log)
    assert f"lacks the right WRITE on topic {bus.topic_name(SENSOR)} (" in simulator.said()
    assert len(simulator.said().splitlines()) < 8


def topic_rights(guarded: Guarded, bus: Settings, user: str, **given: list[str]) -> None:
    """Make the topics, and give a user DESCRIBE on each, or what is said for it by name, `_` for a dash."""
    kafka.ensure_topics(bus, "test")
    for right in rights(bus.topic_prefix):
        if (right.user, right.kind) == (user, "GROUP"):
            guarded.broker.allow(right)
    for topic in TOPICS:
        if operations := given.get(topic.name.replace("-", "_"), ["DESCRIBE"]):
            guarded.broker.allow(Right(user, "TOPIC", bus.topic_name(topic), False, operations))


def test_a_topic_that_one_may_not_see_or_read_is_not_called_missing(guarded: Guarded) -> None:
    """The commands name the topic, the right and where the rights are listed."""
    bus = guarded.bus("lacks-sight-")
    topic_rights(guarded, bus, "operator", sensor=["READ", "DESCRIBE_CONFIGS"], dead_letter=["READ"], avg_temp=[])
    hidden, unread = (f"the right {right} on topic {bus.topic_prefix}" for right in ("DESCRIBE", "READ"))
    produce(bus, ALERT, [Record(b"hot", b"1")])
    operator = guarded.as_user(bus, "operator")
    for arguments in (["tail", "avg-temp", "--no-follow"], ["verify"]):
        done = command(operator, *arguments)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert f"{hidden}avg-temp (" in line
        assert "docs/security.md" in line
    for arguments in (["tail", "alert", "--no-follow"], ["tail", "alert", "--last", "0"]):
        assert f"{unread}alert (" in command(operator, *arguments).stderr
    listed = command(operator, "topics", "list")
    assert f"{hidden}avg-temp (" in listed.stderr
    assert f"{unread}alert (" in listed.stderr
    assert bus.topic_name(SENSOR) in listed.stdout
    assert bus.topic_name(DEAD_LETTER) in listed.stdout
    examined = command(operator, "doctor")
    lines = {topic: line for line in examined.stdout.splitlines() for topic in re.findall(r"topic (\S+) ", line)}
    assert examined.returncode == 1
    assert f"{hidden}avg-temp (" in lines[bus.topic_name(AVG_TEMP)]
    assert f"{unread}alert (" in lines[bus.topic_name(ALERT)]
    assert "FAILED" not in lines[bus.topic_name(SENSOR)]
    configs = f"the right DESCRIBE_CONFIGS on topic {bus.topic_name(ALERT_COUNT)} ("
    assert configs in lines[bus.topic_name(ALERT_COUNT)]


def test_a_page_that_lacks_a_right_on_a_topic_says_so_and_shows_the_rest(guarded: Guarded, tmp_path: Path) -> None:
    """It does not ask for topics to be made, and goes on by itself when it has the rights."""
    bus = guarded.bus("lacks-page-")
    topic_rights(guarded, bus, "dashboard", sensor=["READ"], alert_count=["READ"], dead_letter=["READ"], avg_temp=[])
    produce(bus, ALERT, [Record(b"hot", b"1")])
    produce(bus, SENSOR, [Record(b"hot", encode_reading("hot", iso_timestamp(START_MS), 20.0))])
    page = dashboard(guarded.as_user(bus, "dashboard"), tmp_path)
    hidden, unread = f"DESCRIBE on topic {bus.topic_name(AVG_TEMP)} (", f"READ on topic {bus.topic_name(ALERT)} ("
    with page.part:
        for said in (hidden, unread):
            wait_until(partial(is_reason, page, said), 40, said, page.part.log)
            wait_until(partial(has_said, page.part, said), 15, said, page.part.log)
        browser = page.ticker()
        wait_until(lambda: "hot" in str(browser.tick()["devices"]), 20, "the device", page.part.log)
        assert "topics create" not in page.part.said()
        assert "docs/security.md" in page.part.said()
        for topic in (ALERT, AVG_TEMP):
            guarded.broker.allow(Right("dashboard", "TOPIC", bus.topic_name(topic), False, ["READ"]))
        page.wait_ready()


def test_a_user_that_may_not_make_topics_is_told_which_right_is_missing(guarded: Guarded) -> None:
    """One line with the topic."""
    done = command(guarded.as_user(guarded.bus("lacks-create-"), "alert"), "topics", "create")
    assert done.returncode == 1
    assert "the right DESCRIBE (and CREATE, if it is not there) on topic lacks-create-sensor" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def rights_in(listed: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield what `kafka-acls.sh --list` shows: kind, name and pattern of a thing, and an operation on it."""
    thing = None
    for line in listed.splitlines():
        if found := re.search(r"resourceType=(\w+), name=([^,]+), patternType=(\w+)", line):
            thing = (found[1], found[2], found[3])
        elif thing and (found := re.search(r"operation=(\w+), permissionType=ALLOW", line)):
            yield (*thing, found[1])


def test_who_sends_letters_back_is_told_which_right_is_missing(guarded: Guarded) -> None:
    """One after the other, with the thing that it is on, or may be on; with all of them the letter is sent."""
    bus = guarded.bus("replay-")
    kafka.ensure_topics(bus, "test")
    origin = {
        "source.topic": bus.topic_name(SENSOR),
        "source.partition": "0",
        "source.offset": "0",
        "error.kind": "json",
    }
    headers = [(name, value.encode()) for name, value in origin.items()]
    produce(bus, DEAD_LETTER, [Record(b"a", encode_reading("a", iso_timestamp(START_MS), 20.0), headers)])
    user = guarded.as_user(bus, "replay")
    given = [right for right in rights(bus.topic_prefix) if right.user == "replay"]
    for right in given:
        if reads := [operation for operation in right.operations if operation != "WRITE"]:
            guarded.broker.allow(right._replace(operations=reads))
    replay = partial(command, user, "dead-letter", "replay")
    needed = [right for right in given if "WRITE" in right.operations and right.name != bus.topic_name(ALERT)]
    for right in sorted(needed, key=lambda right: right.kind == "TOPIC"):
        done = replay()
        (line,) = done.stderr.splitlines()
        thing = line.partition("lacks the right WRITE on ")[2].partition(" (")[0]
        assert thing.startswith(right.kind.lower().replace("_", " ")), line
        assert (done.returncode, right.name in re.split(r",? ", thing)) == (1, True), line
        guarded.broker.allow(right)
    assert "sent 1" in replay().stdout
    assert len(values(bus, SENSOR)) == 1


def test_the_commands_that_give_rights_do(guarded: Guarded, tmp_path: Path) -> None:
    """Those of docs/security.md, with Kafka's own tool: what they give is listed, and is what the table has."""
    ((block,),) = blocks("security.md").values()
    with Shell(tmp_path, environment_of(guarded.bus(""), KAFKA=guarded.broker.address)) as shell:
        listed = shell.run(block)
    others = ("least-", "wrong-", "lacks-", "raw-")  # the prefixes of the other tests, which give rights too
    assert {right for right in rights_in(listed) if not right[1].startswith(others)} == {
        (right.kind, right.name, "PREFIXED" if right.prefixed else "LITERAL", operation)
        for right in rights("")
        if right.user == "alert"
        for operation in right.operations
    }
