"""The changelog topics of a job's state: kept short, and read by a recovery only.

Kafka compacts closed segments only, and closes one at 1 GB: until then a job whose state is lost reads every change of
every device again.
"""

from typing import Final

from quixstreams.models import SuccessfulConfluentKafkaMessageProto, Topic, TopicConfig, TopicManager

#: 80,000 changes of a device's state; a job reads them back in 1 to 2 CPU seconds.
_SEGMENT_BYTES: Final = 33_554_432


class ChangelogManager(TopicManager):
    """Quix's manager of topics, with changelogs of our own kind."""

    def changelog_topic(self, stream_id: str | None, store_name: str, config: TopicConfig) -> Topic:
        """Return the topic, made with small segments if it is new; one that exists is left as it is.

        Quix subscribes to a changelog beside the job's input and pauses it except while it recovers. librdkafka drops
        a pause that overtakes the start of the partition's fetcher ("received outdated op PAUSE", once in some dozen
        starts on a busy machine): what the job wrote came back as if it were its input, and ended it with a KeyError.
        A recovery reads messages without their rows, so a changelog has none.
        """
        config.extra_config["segment.bytes"] = str(_SEGMENT_BYTES)
        topic = super().changelog_topic(stream_id, store_name, config)
        topic.row_deserialize = _no_row  # type: ignore[method-assign]  # a Topic is made by Quix alone
        return topic


def _no_row(message: SuccessfulConfluentKafkaMessageProto) -> None:
    """Let the message pass unread."""
