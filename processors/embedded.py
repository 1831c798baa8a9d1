"""What Quix needs on the embedded broker.

It has topics without CreateTopics and DescribeConfigs.
It answers neither of the two requests; asking for a topic's metadata creates it, always with 4 partitions.
Not on the path of a real Kafka.
"""

from collections.abc import Mapping
from typing import Any

from quixstreams.models import Topic as QuixTopic
from quixstreams.models import TopicAdmin, TopicConfig, TopicManager

from processors.changelogs import ChangelogManager
from sensorbus.runtime.kafka import EMBEDDED_PARTITIONS, EMBEDDED_TOPIC_CONFIG


class EmbeddedTopicAdmin(TopicAdmin):
    """Makes a topic by asking for it."""

    def inspect_topics(self, topic_names: list[str], timeout: float = 30) -> dict[str, TopicConfig | None]:
        """Return what each topic has, made on the spot."""
        configs: dict[str, TopicConfig | None] = {}
        for name in topic_names:
            self.admin_client.list_topics(name, timeout=timeout)
            configs[name] = TopicConfig(
                num_partitions=EMBEDDED_PARTITIONS, replication_factor=1, extra_config=dict(EMBEDDED_TOPIC_CONFIG)
            )
        return configs

    def create_topics(self, topics: list[QuixTopic], timeout: float = 30, finalize_timeout: float = 60) -> None:
        """Do nothing: a topic that was inspected exists."""


def topic_manager(bootstrap_servers: str, consumer_group: str, options: Mapping[str, Any]) -> TopicManager:
    """Return the manager to hand to Quix's `Application`."""
    admin = EmbeddedTopicAdmin(bootstrap_servers, extra_config=options)
    return ChangelogManager(admin, consumer_group, auto_create_topics=True)
