"""Quix's application as the jobs need it.

What is changed in it stands in batches.py, committed.py, recovery.py and outputs.py; here it is put together.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import TopicPartition
from quixstreams import Application
from quixstreams.context import set_message_context

from processors import batches, committed, device_state, outputs, recovery
from processors.lives import ReadWithCare

# An abort overtakes the partitions that the client was about to add to the transaction, when its connection to the
# coordinator has closed meanwhile; Kafka knows of no transaction then, and that ends the producer (librdkafka 2.10).
_REGISTERED_WITHIN_S: Final = 5.0
# More save next to nothing (docs/benchmarks.md), and a commit that is due, or a stop, waits for them.
_RECORDS_PER_TURN: Final = 32


class JobApplication(Application):
    """Quix's application: it recovers before it reads, drops what it lost, and remembers the error that ended it."""

    def __init__(
        self,
        *arguments: Any,
        end_of_batch: Callable[[TopicPartition], int],
        on_commit: Callable[[], object],
        offsets: committed.CommittedOffsets | None = None,
        read_with_care: ReadWithCare | None = None,
        **options: Any,
    ) -> None:
        """As Quix's own.

        `end_of_batch` finds the offset after a batch that begins at a place; `offsets` are what an earlier life has
        committed, None on a broker that does not outlive the job. `read_with_care` is given after a kill.
        """
        super().__init__(*arguments, **options)
        self.ended_by: BaseException | None = None
        self._ended_s = 0.0
        batches.pass_over(self._consumer, end_of_batch)
        self.careful = read_with_care and read_with_care(self._consumer, self._topic_manager, self._is_recovery_due)
        if offsets is not None:
            committed.begin_behind(offsets, self._consumer, self._topic_manager)
            committed.note_commits(offsets, self._consumer, self._producer)
        recovery.hold_back(self._consumer, self._is_recovery_due, self._check_states)
        recovery.tell_bounds_at_once(self._consumer, self._topic_manager)
        self._tell_commits(on_commit)
        outputs.hand_on_changes(self._producer)

    def _process_message(self, dataframes: Any) -> None:
        """Process the records that wait, a turn's number at most; where none does, wait for one.

        Quix takes one in a turn, and with each it serves the producer, copies the context variables and looks for a
        recovery or commit that is due, periodic tasks, sources, pauses of sinks and prints, and notes that a broker is
        there, which no job asks. A recovery that a poll makes due ends the turn, for `recovery.hold_back` hands out no
        row then.
        """
        self._producer.poll(0)
        poll_row, context = self._consumer.poll_row, self._processing_context
        timeout_s = self._config.consumer_poll_timeout
        for _ in range(_RECORDS_PER_TURN):
            row: Any = poll_row(timeout=timeout_s)
            if row is None:
                return
            timeout_s, place = 0, row.context
            set_message_context(place)
            dataframes[place.topic](row.value, row.key, row.timestamp, row.headers)
            context.store_offset(place.topic, place.partition, place.offset)

    def _is_recovery_due(self) -> bool:
        return self._state_manager.recovery_required

    def _check_states(self) -> None:
        stores = self._state_manager.stores.values()
        device_state.check_all(store for by_name in stores for store in by_name.values())

    def _tell_commits(self, on_commit: Callable[[], object]) -> None:
        """Call it whenever what was processed is committed: Quix begins another checkpoint then."""
        context = self._processing_context
        commit = context.commit_checkpoint

        def commit_and_tell(*arguments: Any, **options: Any) -> None:
            before = context.checkpoint
            commit(*arguments, **options)
            if context.checkpoint is not before:
                on_commit()

        context.commit_checkpoint = commit_and_tell  # type: ignore[method-assign]  # Quix has no place for it

    def _on_assign(self, consumer: Any, topic_partitions: list[TopicPartition]) -> None:
        """Take partitions; an error is the one that ended it.

        confluent-kafka loses it where another callback follows in the same poll, and raises a SystemError.
        """
        try:
            super()._on_assign(consumer, topic_partitions)
        except Exception as error:
            self._note_end(error)
            raise

    def _on_lost(self, consumer: Any, topic_partitions: list[TopicPartition]) -> None:
        """Drop what was processed and not committed: the group gave this member up, and others may have done it anew.

        Quix keeps it. A member that was frozen, and is back in the group within the same poll, then commits it as that
        of its new membership: results come twice, and the offsets and the state of the new owner go back.
        """
        try:
            if not self._failed:  # else Quix drops it by itself
                if self._config.exactly_once:
                    self._producer.flush(_REGISTERED_WITHIN_S)
                self._processing_context.checkpoint.close(revoking=True)
                self._processing_context.init_checkpoint()  # type: ignore[no-untyped-call]  # Quix's
        except Exception as error:
            self._note_end(error)  # as in an assignment
            raise
        finally:
            super()._on_lost(consumer, topic_partitions)

    def stop(self, fail: bool = False) -> None:
        """Stop; Quix calls it first of all when its loop ends, while it handles the error if there is one."""
        if fail:
            self._note_end(sys.exception())
        super().stop(fail)

    def changelogs(self) -> list[str]:
        """Return the names of the topics that hold its state."""
        return [topic.name for topic in self._topic_manager.changelog_topics_list]

    def _note_end(self, error: BaseException | None) -> None:
        if self.ended_by is None:
            self.ended_by, self._ended_s = error, time.monotonic()

    def ended_since_s(self) -> float:
        """Return how long ago an error ended it, 0 when none did; called from any thread."""
        return time.monotonic() - self._ended_s if self.ended_by is not None else 0.0
