"""What a job's parts share: settings, its topics as Quix knows them, its meter."""

from dataclasses import dataclass

from quixstreams.models import Topic as QuixTopic

from processors.meter import Meter
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import Topic


@dataclass(frozen=True, slots=True)
class Bus:
    """Handed to every `build`; `topics` has all of `contract.topics.TOPICS` by name without prefix."""

    settings: Settings
    topics: dict[str, QuixTopic]
    meter: Meter

    @property
    def exactly_once(self) -> bool:
        """Tell whether outputs, state and offsets are committed as one."""
        return exactly_once(self.settings)

    def topic(self, topic: Topic) -> QuixTopic:
        """Return a topic as Quix writes to it."""
        return self.topics[topic.name]


def exactly_once(settings: Settings) -> bool:
    """Tell whether the job runs exactly once.

    Not on the embedded broker: it takes the offsets of a transaction and forgets them, so that a job started again
    would read everything again on top of its state.
    """
    return settings.processing_guarantee == "exactly-once" and not settings.embedded_broker
