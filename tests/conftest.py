"""What every test may ask for: a bus, a browser.

A bus on the embedded broker and on a real Kafka.
A test that asks for a bus runs once on each. What this machine lacks is skipped with the reason, unless
SENSORBUS_TEST_REQUIRE_ALL=1, where it fails.
"""

import os
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from playwright.sync_api import Browser

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import PREFIX, Settings
from sensorbus.runtime import kafka
from tests.support import browser, real_kafka
from tests.support.needs import need
from tests.support.real_kafka import RealKafka

_TEST_VARIABLES: Final = f"{PREFIX}TEST_"
#: What a mark's tests are and what runs them; of several marks the first counts.
_RUN_ELSEWHERE: Final = {
    "long": "long (minutes each): on demand, see CONTRIBUTING.md",
    "browser": "browser (in Chromium): make browser",
    "real_kafka": "real_kafka (on a real Kafka): make real",
    "slow": "slow (half a minute and more each): make real",
}
_UNMARKED: Final = "others (quick, on no real Kafka): make test"
#: What a test with the mark takes, about; of several marks the first counts.
_ABOUT_MS: Final = {"slow": 25_000, "browser": 6_000, "real_kafka": 5_000, "embedded": 1_000}
_LEFT_OUT: Final = pytest.StashKey[dict[str, int]]()


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Hide the developer's own settings: a test sees what it sets."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(PREFIX) and not name.startswith(_TEST_VARIABLES):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def real_kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a real Kafka that all tests share; nobody may stop it."""
    given = os.environ.get(real_kafka.ADDRESS_VARIABLE)
    if given:
        yield given
        return
    need(real_kafka.why_not())
    with RealKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.address


@pytest.fixture(scope="module")
def own_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKafka]:
    """Give a real Kafka that the module may kill, pause and start again; its `OWN_KAFKA` has more properties."""
    need(real_kafka.why_not())
    with RealKafka(tmp_path_factory.mktemp("own-kafka"), **getattr(request.module, "OWN_KAFKA", {})) as broker:
        yield broker


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("embedded", marks=pytest.mark.embedded),
        pytest.param("real", marks=pytest.mark.real_kafka),
    ],
)
def broker_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Give a bus with topics for a whole module, on each kind of broker."""
    state_dir = tmp_path_factory.mktemp("state")
    if request.param == "real":
        address = request.getfixturevalue("real_kafka_address")
        yield _with_topics(Settings(kafka_bootstrap_servers=address, topic_prefix=_prefix(), state_dir=state_dir))
        return
    with EmbeddedBroker() as broker:
        yield _with_topics(
            Settings(
                kafka_bootstrap_servers=broker.address,
                embedded_broker=True,
                topic_prefix=_prefix(),
                state_dir=state_dir,
            )
        )


@pytest.fixture
def kafka_settings(broker_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give a bus of the test's own, without topics, on each kind of broker."""
    own = {"topic_prefix": _prefix(), "state_dir": tmp_path_factory.mktemp("state")}
    return broker_settings.model_copy(update=own)


@pytest.fixture
def fresh_settings(kafka_settings: Settings) -> Settings:
    """Give a bus of the test's own, with empty topics, on each kind of broker."""
    return _with_topics(kafka_settings)


@pytest.fixture
def real_settings(real_kafka_address: str, tmp_path: Path) -> Settings:
    """Give a bus of the test's own, with empty topics, on the shared real Kafka."""
    address, state_dir = real_kafka_address, tmp_path / "state"
    return _with_topics(Settings(kafka_bootstrap_servers=address, topic_prefix=_prefix(), state_dir=state_dir))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give a headless Chromium for a whole module; a test opens its own context in it."""
    need(browser.why_not())
    with browser.chromium() as opened:
        yield opened


def pytest_configure() -> None:
    """End as on Ctrl-C when told to stop, so that fixtures clean up; let property tests take their time."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hypothesis.settings.register_profile(
        "sensorbus",
        hypothesis.settings(),  # on CI, Hypothesis's own profile for it
        deadline=None,  # on cores that others use too, it fails without cause, and so does the check for slow drawing
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("sensorbus")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Mark what needs a browser or a Kafka of its own by the fixtures that it asks for; begin with the longest files.

    The order is for the workers of pytest-xdist: a long file that begins last would end alone.
    """
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if "chromium" in names:
            item.add_marker(pytest.mark.browser)
        if names & {"own_kafka", "real_kafka_address"}:
            item.add_marker(pytest.mark.real_kafka)
    yield
    if hasattr(config, "workerinput"):
        files: Counter[str] = Counter()
        for item in items:  # those that were chosen
            files[str(item.path)] += next((ms for mark, ms in _ABOUT_MS.items() if item.get_closest_marker(mark)), 50)
        items.sort(key=lambda item: -files[str(item.path)])


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what was not chosen, by the mark that says where it runs."""
    if items:
        left_out = items[0].config.stash.setdefault(_LEFT_OUT, {})
        for item in items:
            mark = next((mark for mark in _RUN_ELSEWHERE if item.get_closest_marker(mark)), "")
            left_out[mark] = left_out.get(mark, 0) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over the counts of a worker of pytest-xdist; each collects all tests, so one worker's are enough.

    Of one that died leave a note for `.ci/run`: what it had not run did not run.
    """
    if error:
        node.config.cache.set("sensorbus/died", str(error))
    if output := getattr(node, "workeroutput", None):  # a worker that crashed has none
        node.config.stash[_LEFT_OUT] = output["left_out"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts to the process that starts the workers, where this is one of them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what did not run: for want of something, in one line per reason; not chosen, in one line per mark."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        terminalreporter.write_line(f"did not run: {count} tests; {reason.removeprefix('Skipped: ')}")
    options = terminalreporter.config.option
    for mark, count in sorted(terminalreporter.config.stash.get(_LEFT_OUT, {}).items()):
        if options.keyword:  # then the choice is somebody's own, and the marks do not say why
            terminalreporter.write_line(f"did not run: {count} {mark or 'unmarked'} tests not chosen (-k)")
        else:
            terminalreporter.write_line(f"did not run: {count} {_RUN_ELSEWHERE.get(mark, _UNMARKED)}")


def _with_topics(settings: Settings) -> Settings:
    kafka.ensure_topics(settings, "test")
    return settings


def _prefix() -> str:
    return f"t{uuid.uuid4().hex[:8]}-"
