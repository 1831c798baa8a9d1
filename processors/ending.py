"""How a job ends: the error that ended it, as one line for people.

Quix closes a failed application step by step, and what fails on the way hides the error that began it, or takes up to
half a minute: an assignment that comes while the consumer is closed asks Kafka for offsets and gets none.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from quixstreams.exceptions import QuixException

from processors.job_application import JobApplication
from sensorbus.contract.errors import BrokerUnavailableError, SensorbusError, TopicError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.runtime import access, kafka

_CLOSED_WITHIN_S: Final = 6.0  # a close that ends well takes a second
#: What produce says once the client cannot go on; with transactions that is nearly always a fence.
_FATAL: Final = KafkaError._FATAL  # noqa: SLF001  # librdkafka's own codes have no public name
_FENCED: Final = (
    KafkaError._FENCED,  # noqa: SLF001  # librdkafka's own codes have no public name
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
)
#: What a client meets of a topic that was deleted, if it meets it before the look at the topics does.
_NO_TOPIC: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  # librdkafka's own codes have no public name
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  # the same
)
_GIVEN_UP: Final = "; if it is, Kafka was without this one for so long that it gave up its transaction: start it again"
#: What Kafka says, or the next write does, when a right on a topic is missing.
_REFUSED_TOPIC: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._STATE,  # noqa: SLF001  # librdkafka's own codes have no public name
)


class Looks(NamedTuple):
    """What Kafka is asked when its error does not name the topic: each returns a line, None if nothing is found."""

    topic_change: Callable[[], str | None]
    missing_right: Callable[[], str | None]


def run(application: JobApplication, settings: Settings, looks: Looks) -> None:
    """Run until SIGTERM; raises `SensorbusError` with the line for the error that came first."""
    try:
        application.run()
    except Exception as error:
        first = application.ended_by or error
        raise _explain_end(application, first, settings, looks) or first from error


def overdue(application: JobApplication, settings: Settings, looks: Looks) -> str | None:
    """Return the line for the error that ended it, if it has not been able to close since; called from any thread."""
    first = application.ended_by
    if first is None or application.ended_since_s() < _CLOSED_WITHIN_S:
        return None
    return str(_explain_end(application, first, settings, looks) or repr(first))


def _explain_end(
    application: JobApplication, error: BaseException, settings: Settings, looks: Looks
) -> SensorbusError | None:
    """Return the line for an error; Kafka does not say in it which topic is gone or refused."""
    codes = {code.code() for code in _kafka_errors(error)}
    if codes.intersection(_NO_TOPIC) and (said := looks.topic_change()):
        return TopicError(said)
    if codes.intersection(_REFUSED_TOPIC) and (said := looks.missing_right()):
        return _denied(said, settings)
    return explain(error, settings, application.config.consumer_group)


def explain(error: BaseException, settings: Settings, group: str) -> SensorbusError | None:
    """Return the line for an error of Kafka's or of the disk's, or for the cause behind it; None: it is a bug.

    `group` is the job's.
    """
    if _is_of_the_disk(error, settings):
        return SensorbusError(
            f"the job's state in {settings.state_dir} ({variable_name('state_dir')}) cannot be written: {error}; "
            "nothing is lost, start it again when the cause is gone"
        )
    for cause in _chain(error):
        if isinstance(cause, SensorbusError):  # it left a transaction that cannot be ended well
            return cause
    return _explain_kafka(error, settings, group) if isinstance(error, (KafkaException, QuixException)) else None


def _is_of_the_disk(error: BaseException, settings: Settings) -> bool:
    """Tell whether the state's folder cannot be made, or RocksDB not write there, whose errors have no class."""
    if isinstance(error, OSError) and error.filename is not None:
        folder, place = settings.state_dir.absolute(), Path(os.fsdecode(error.filename)).absolute()
        return place.is_relative_to(folder) or folder.is_relative_to(place)
    return type(error) is Exception and "IO error" in str(error)


def _explain_kafka(error: BaseException, settings: Settings, group: str) -> SensorbusError:
    codes = list(_kafka_errors(error))
    needed = {
        KafkaError.GROUP_AUTHORIZATION_FAILED: (group, "READ"),
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: (f"{group}.*", "WRITE"),
    }
    for code in codes:  # a missing right is the cause of what follows it
        if lacks := access.missing_right(code, *needed.get(code.code(), ())):
            return _denied(lacks, settings)
    if not codes:
        return SensorbusError(f"the job ended: {type(error).__name__}: {error}; nothing is lost, start it again")
    code = codes[0]
    if code.code() == KafkaError._TIMED_OUT and "committed offsets" in code.str():  # noqa: SLF001  # as above
        return kafka.offsets_held(settings, "the job's group")
    if code.code() in (*_FENCED, _FATAL) and settings.instance_id:
        sure = "" if code.code() in _FENCED else "probably "
        # Kafka fences a producer too whose transaction it gave up.
        or_else = "" if code.code() == KafkaError.FENCED_INSTANCE_ID else _GIVEN_UP
        return SensorbusError(
            f"{sure}another process took this one's place ({code.str()}): {variable_name('instance_id')}"
            f"={settings.instance_id} must be unique among the instances of a job{or_else}"
        )
    return BrokerUnavailableError(
        f"Kafka at {kafka.place(settings)} ended the job: {code.name()}: {code.str()}; nothing is lost, start it again"
    )


def _denied(lacks: str, settings: Settings) -> BrokerUnavailableError:
    return BrokerUnavailableError(f"Kafka at {settings.bootstrap_servers} ended the job: {lacks}")


def _kafka_errors(error: BaseException) -> Iterator[KafkaError]:
    """Yield the errors of Kafka's behind an exception, the last one first."""
    for cause in _chain(error):
        code = cause.args[0] if cause.args else getattr(cause, "error", None)
        if isinstance(code, KafkaError):
            yield code


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
