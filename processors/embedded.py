"""What Quix needs on the embedded broker: topics without CreateTopics and DescribeConfigs.

It answers neither of the two requests; asking for a topic's metadata creates it, always with 4 partitions.
Not on the path of a real Kafka.
"""

from collections.abc import Mapping
from typing import Any, Final

from quixstreams.models import Topic as QuixTopic
from quixstreams.models import TopicAdmin, TopicConfig, TopicManager

#: What it holds is bounded by itself; Quix derives its changelog topics' settings from these.
_CONFIG: Final = {"retention.ms": "86400000", "retention.bytes": "-1", "cleanup.policy": "delete"}
_PARTITIONS: Final = 4


class EmbeddedTopicAdmin(TopicAdmin):
    """Makes a topic by asking for it."""

    def inspect_topics(self, topic_names: list[str], timeout: float = 30) -> dict[str, TopicConfig | None]:
        """Return what each topic has, made on the spot."""
        configs: dict[str, TopicConfig | None] = {}
        for name in topic_names:
            self.admin_client.list_topics(name, timeout=timeout)
            configs[name] = TopicConfig(num_partitions=_PARTITIONS, replication_factor=1, extra_config=dict(_CONFIG))
        return configs

    def create_topics(self, topics: list[QuixTopic], timeout: float = 30, finalize_timeout: float = 60) -> None:
        """Do nothing: a topic that was inspected exists."""


def topic_manager(bootstrap_servers: str, consumer_group: str, options: Mapping[str, Any]) -> TopicManager:
    """Return the manager to hand to Quix's `Application`."""
    admin = EmbeddedTopicAdmin(bootstrap_servers, extra_config=options)
    return TopicManager(admin, consumer_group, auto_create_topics=True)
