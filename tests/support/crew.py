"""Members of one job that come and go under load."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.jobs import INPUTS, Jobs
from tests.support.real_kafka import free_ports
from tests.support.ticks import get
from tests.support.topics import Record, produce
from tests.support.waiting import wait_until

DEVICES: Final = 40
#: Windows of 10 s are open behind them.
SECONDS_FED: Final = 15
_BALANCED_WITHIN_S: Final = 90.0
_LAG: Final = re.compile(r'^sensorbus_job_lag_records\{.*partition="(\d+)",topic="(.+)"\} (.+)$', re.MULTILINE)


def seconds() -> Iterator[list[Record]]:
    """Yield one second of all devices after the other, about half of it hot, some of it late; an hour at most."""
    begin_ms = wall_clock_ms() - 3_600_000
    for second in range(3_600):
        late_ms = 1_500 if second % 7 == 3 else 0
        yield [
            Record(device.encode(), encode_reading(device, iso_timestamp(time_ms), 25.0 + (second * 7 + number) % 11))
            for number in range(DEVICES)
            for device, time_ms in ((f"device-{number}", begin_ms + second * 1_000 + number - late_ms),)
        ]


def feed(settings: Settings, stream: Iterator[list[Record]]) -> None:
    """Write the next 15 seconds of all devices."""
    produce(settings, SENSOR, chain.from_iterable(islice(stream, SECONDS_FED)))


@dataclass
class Crew:
    """A context manager that leaves none behind; while it waits readings come, faster than real.

    With `stable`, each member has an instance id.
    Crews on one bus share their readings, so that time goes on with each of them.
    """

    settings: Settings
    job: str
    home: Path
    stable: bool = False
    members: list[Jobs] = field(default_factory=list)
    readings: Iterator[list[Record]] = field(default_factory=seconds)

    def __enter__(self) -> Self:
        """Start none yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs."""
        for member in self.members:
            member.__exit__(kind, error, trace)

    def feed(self, count: int = 1) -> None:
        """Write so many seconds of all devices."""
        for _ in range(count):
            produce(self.settings, SENSOR, next(self.readings))

    def join(self, count: int) -> None:
        """Start members until there are so many, and wait until they share the partitions."""
        while len(self._running()) < count:
            number = len(self.members)
            name = f"{self.job}-{number}"
            own: dict[str, object] = {"state_dir": self.home / f"state-{name}", "ops_port": free_ports()[0]}
            if self.stable:
                own["instance_id"] = name
            self.members.append(Jobs(self.settings.model_copy(update=own), self.home / f"{name}.log"))
            self.members[-1].start(self.job)
        self.balance()

    def kill(self) -> None:
        """Kill -9 the oldest."""
        self._running()[0].kill(self.job)
        self.feed(5)

    def leave(self) -> None:
        """Send SIGTERM to the oldest and expect exit code 0."""
        self._running()[0].stop(self.job)
        self.feed(5)

    def restart(self, member: Jobs) -> None:
        """Send SIGTERM to one, have readings come meanwhile, and start it again under its name."""
        member.stop(self.job)
        self._back(member)

    def kill_and_restart(self, member: Jobs) -> None:
        """Kill -9 one, have readings come meanwhile, and start it again under its name."""
        member.kill(self.job)
        self._back(member)

    def _back(self, member: Jobs) -> None:
        self.feed(5)
        member.start(self.job)
        self.balance()

    def end(self) -> None:
        """Wait until all is read and all show that, and stop the rest."""
        self._running()[0].settle(self.job, self.job, within_s=_BALANCED_WITHIN_S)
        for member in self._running():
            is_at_the_end = partial(self._shows_no_lag, member)
            wait_until(is_at_the_end, _BALANCED_WITHIN_S, "a member to show no lag", member.log)
        for member in self._running():
            member.stop(self.job)

    def balance(self) -> None:
        """Go on until each partition is shown, with its lag, by one member, and each member shows some."""
        wait_until(self._feed_and_look, _BALANCED_WITHIN_S, "the members to share", self._running()[-1].log)
        self.feed(5)

    def said(self) -> str:
        """Return what all have said."""
        return "".join(member.log.read_text() for member in self.members)

    def _feed_and_look(self) -> bool:
        self.feed()
        shown = [self._lags_of(member) for member in self._running()]
        wanted = sorted(
            (self.settings.topic_name(topic), number)
            for topic in INPUTS[self.job]
            for number in range(self.settings.topic_partitions)
        )
        return all(shown) and sorted(place for places in shown for place in places) == wanted

    def _shows_no_lag(self, member: Jobs) -> bool:
        return set(self._lags_of(member).values()) == {0.0}

    def _lags_of(self, member: Jobs) -> dict[tuple[str, int], float]:
        _, text = get(f"http://127.0.0.1:{member.settings.ops_port}/metrics")
        return {(topic, int(number)): float(lag) for number, topic, lag in _LAG.findall(text)}

    def _running(self) -> list[Jobs]:
        return [member for member in self.members if member.running]
