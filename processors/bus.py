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
        return self.settings.is_exactly_once

    def topic(self, topic: Topic) -> str:
        """Return a topic's name on this bus."""
        return self.settings.topic_name(topic)
