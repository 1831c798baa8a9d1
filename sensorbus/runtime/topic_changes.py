"""Says when a topic is no longer the one that a process began with.

It was deleted, made anew, or has more partitions.
The clients say nothing of it: a writer waits for minutes, a reader goes on with what is left of it. Not for the
embedded broker, which cannot describe topics. Called from any one thread, but for `now`.
"""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection, Uuid
from confluent_kafka.admin import AdminClient, TopicDescription

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import TOPICS, Topic
from sensorbus.runtime import kafka

NOT_THERE: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001  # the client's own code
_NO_ID: Final = str(Uuid(0, 0))
_LOOK_TWICE_AFTER_S: Final = 1.0


class Identity(NamedTuple):
    """Which topic it is: one made anew under the same name has another id, "" on a broker that gives none."""

    topic_id: str
    partitions: int


def identities(settings: Settings, client: AdminClient, topics: Iterable[Topic]) -> dict[str, Identity]:
    """Return which topics these are, by their names on the bus; raises `BrokerUnavailableError`."""
    names = [settings.topic_name(topic) for topic in topics]
    try:
        return {name: identity(future) for name, future in ask(client, names)}
    except KafkaException as error:
        raise kafka.unavailable(settings, error) from None


def ask(
    client: AdminClient, names: list[str], timeout_s: float = kafka.REQUEST_TIMEOUT_S
) -> Iterable[tuple[str, Future[TopicDescription]]]:
    """Ask Kafka for each of these names on the bus."""
    futures: dict[str, Future[TopicDescription]]
    futures = client.describe_topics(TopicCollection(names), request_timeout=timeout_s)
    return futures.items()


def identity(answer: Future[TopicDescription]) -> Identity:
    """Return what Kafka answers; raises `KafkaException`, with a code of `NOT_THERE` where there is no such topic."""
    described = answer.result()
    topic_id = str(described.topic_id)
    return Identity("" if topic_id == _NO_ID else topic_id, len(described.partitions))


class TopicChanges:
    """Compares the topics with what they were at the first look; `inputs` are those whose partitions matter."""

    def __init__(self, settings: Settings, part: str, inputs: Sequence[Topic]) -> None:
        """Ask nothing yet."""
        self._settings = settings
        self._names = [settings.topic_name(topic) for topic in TOPICS]
        self._inputs = {settings.topic_name(topic) for topic in inputs}
        self._client = kafka.admin(settings, part)
        self._first: dict[str, Identity] = {}
        self._suspected: str | None = None

    def reason(self) -> str | None:
        """Ask Kafka; return the line for a change that two looks in a row have seen, None when there is none.

        Two, because a broker that has just started may not know a topic yet. One that does not answer has no say.
        """
        suspected, self._suspected = self._suspected, self._look_if_answered()
        return self._suspected if self._suspected == suspected else None

    def now(self) -> str | None:
        """Look twice in a row, for who has met an error of a topic already; from any thread, needs a first look."""
        if self._look_if_answered() is None:
            return None
        time.sleep(_LOOK_TWICE_AFTER_S)
        return self._look_if_answered()

    def _look_if_answered(self) -> str | None:
        # Without a broker, librdkafka waits in a question about topics with a whole core.
        return self._look() if kafka.answers(self._settings, self._client) else None

    def _look(self) -> str | None:
        for name, future in ask(self._client, self._names):
            now: Identity | None
            try:
                now = identity(future)
            except KafkaException as error:
                if error.args[0].code() not in NOT_THERE:
                    continue
                now = None
            first = self._first.get(name) if now is None else self._first.setdefault(name, now)
            if first is not None and (said := change(name, first, now, is_input=name in self._inputs)):
                return said
        return None


def change(name: str, first: Identity, now: Identity | None, *, is_input: bool) -> str | None:
    """Return the line for what became of a topic (`now` None: it is gone), None when nothing that matters did."""
    if now is None:
        return f"topic {name} was deleted; what it held is lost, and is made anew when the job starts again"
    if now.topic_id != first.topic_id:
        return f"topic {name} was deleted and made anew; what it held is lost, the job has to start again"
    if is_input and now.partitions != first.partitions:
        return (
            f"topic {name} has {now.partitions} partitions and had {first.partitions}, for which the job's state is "
            "laid out; docs/streams.md says how to move to more"
        )
    return None
