"""What a job's parts share: settings, names of topics, its meter."""

from dataclasses import dataclass

from processors.meter import Meter
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import Topic


@dataclass(frozen=True, slots=True)
class Bus:
    """Handed to every `build`."""

    settings: Settings
    meter: Meter

    @property
    def exactly_once(self) -> bool:
        """Tell whether outputs, state and offsets are committed as one."""
        return exactly_once(self.settings)

    def topic(self, topic: Topic) -> str:
        """Return a topic's name on this bus."""
        return self.settings.topic_name(topic)


def exactly_once(settings: Settings) -> bool:
    """Tell whether the job runs exactly once.

    Not on the embedded broker: it takes the offsets of a transaction and forgets them, so that a job started again
    would read everything again on top of its state.
    """
    return settings.processing_guarantee == "exactly-once" and not settings.embedded_broker
