"""What may become of a topic under a process, and what is said then."""

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid

from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import AVG_TEMP, SENSOR, TOPICS
from sensorbus.runtime.topic_changes import Identity, TopicChanges, change, identities

FIRST = Identity("a", 4)


class Described:
    """What Kafka says of a topic, or its error, as a future and its result at once."""

    def __init__(self, topic_id: str, partitions: int, code: int | None = None) -> None:
        """Keep them."""
        self.topic_id, self.partitions, self._code = topic_id, list(range(partitions)), code

    def result(self) -> "Described":
        """Return it, or raise the error."""
        if self._code is not None:
            raise KafkaException(KafkaError(self._code))
        return self


class Cluster:
    """An admin client's two questions, answered from a dict."""

    def __init__(self) -> None:
        """Hold every topic with 4 partitions."""
        self.topics = {topic.name: Described(topic.name, 4) for topic in TOPICS}
        self.is_away = False

    def list_topics(self, timeout: float) -> None:
        """Answer at all, or not."""
        assert timeout > 0
        if self.is_away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def describe_topics(self, _names: object, request_timeout: float) -> dict[str, Described]:
        """Return what is held."""
        assert request_timeout > 0
        assert not self.is_away  # librdkafka would wait with a whole core
        return self.topics


@pytest.fixture
def cluster() -> Cluster:
    """Give a cluster."""
    return Cluster()


@pytest.fixture
def changes(cluster: Cluster) -> TopicChanges:
    """Give what a job that reads `sensor` asks, after its first look."""
    watched = TopicChanges(Settings(kafka_bootstrap_servers="127.0.0.1:1"), "test", [SENSOR])
    watched._client = cluster
    assert watched.reason() is None
    return watched


def test_what_stays_is_no_news(changes: TopicChanges) -> None:
    """The same ids and partitions: nothing to say, however often it is asked."""
    assert [changes.reason() for _ in range(3)] == [None, None, None]


def test_a_deleted_topic_is_said_at_the_second_look(changes: TopicChanges, cluster: Cluster) -> None:
    """One look may be at a broker that has just started."""
    cluster.topics["avg-temp"] = Described("", 0, KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert changes.reason() is None
    assert "topic avg-temp was deleted" in (changes.reason() or "")


def test_a_topic_that_is_back_was_never_gone(changes: TopicChanges, cluster: Cluster) -> None:
    """Unknown for one look only: nothing to say."""
    cluster.topics["sensor"] = Described("", 0, KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert changes.reason() is None
    cluster.topics["sensor"] = Described("sensor", 4)
    assert [changes.reason(), changes.reason()] == [None, None]


def test_a_broker_that_does_not_answer_has_no_say(changes: TopicChanges, cluster: Cluster) -> None:
    """An outage is no deletion."""
    cluster.topics = {topic.name: Described("", 0, KafkaError._TIMED_OUT) for topic in TOPICS}
    assert [changes.reason(), changes.reason()] == [None, None]


def test_a_broker_that_is_away_is_asked_no_more(changes: TopicChanges, cluster: Cluster) -> None:
    """Neither is that a deletion; when it is back, what happened is seen."""
    cluster.is_away = True
    assert [changes.reason(), changes.reason()] == [None, None]
    cluster.is_away = False
    cluster.topics["sensor"] = Described("anew", 4)
    assert changes.reason() is None
    assert "made anew" in (changes.reason() or "")


def test_who_met_an_error_of_a_topic_is_told_at_once(
    changes: TopicChanges, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two looks a second apart; what is back at the second was never gone."""
    monkeypatch.setattr("sensorbus.runtime.topic_changes.time.sleep", lambda _: None)
    assert changes.now() is None
    cluster.topics["avg-temp"] = Described("", 0, KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert "topic avg-temp was deleted" in (changes.now() or "")
    back = Described("avg-temp", 4)
    monkeypatch.setattr(
        "sensorbus.runtime.topic_changes.time.sleep", lambda _: cluster.topics.update({"avg-temp": back})
    )
    assert changes.now() is None


def test_a_topic_that_was_never_seen_is_not_missed(cluster: Cluster) -> None:
    """Not known at the first look either: it is yet to come."""
    cluster.topics["alert"] = Described("", 0, KafkaError.UNKNOWN_TOPIC_OR_PART)
    watched = TopicChanges(Settings(kafka_bootstrap_servers="127.0.0.1:1"), "test", [SENSOR])
    watched._client = cluster
    assert [watched.reason(), watched.reason()] == [None, None]


def test_a_topic_made_anew_is_another_one() -> None:
    """Its id tells, with the same name and as many partitions."""
    assert "made anew" in (change("sensor", FIRST, Identity("b", 4), is_input=True) or "")


def test_more_partitions_matter_where_the_job_reads() -> None:
    """The state of an input is laid out by partition; an output may have as many as it likes."""
    said = change(SENSOR.name, FIRST, Identity("a", 6), is_input=True)
    assert "topic sensor has 6 partitions and had 4" in (said or "")
    assert change(AVG_TEMP.name, FIRST, Identity("a", 6), is_input=False) is None


def test_a_topic_has_an_identity_or_there_is_no_answer(cluster: Cluster) -> None:
    """What a job keeps under it is kept under no other; a broker that gives none has one for all."""
    settings = Settings(kafka_bootstrap_servers="kafka:9092")
    assert identities(settings, cluster, [SENSOR])["sensor"] == Identity("sensor", 4)
    cluster.topics["sensor"] = Described(str(Uuid(0, 0)), 4)
    assert identities(settings, cluster, [SENSOR])["sensor"] == Identity("", 4)
    cluster.topics["sensor"] = Described("", 0, KafkaError.UNKNOWN_TOPIC_OR_PART)
    with pytest.raises(BrokerUnavailableError, match="kafka:9092"):
        identities(settings, cluster, [SENSOR])
