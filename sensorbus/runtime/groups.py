"""Which requests of a consumer group's members the mock cluster survives.

It ends the process where two members share out partitions in different ways, and where a member asks to join, or to
sync, while its last such request waits for an answer. At the broker's own port are our jobs; it names their members
by an address in its memory, so here each member gets a name that no other has had.
"""

import threading
import uuid
from collections.abc import Iterable
from typing import Any, Final

from kio.schema.errors import ErrorCode

#: What Quix, and so each of our jobs, asks for.
JOBS_ASSIGNOR: Final = "range"
#: The mock cluster keeps a group for as long as it runs.
MOST_GROUPS: Final = 1_000
_NUL: Final = "\0"  # ends a name for the mock cluster, which then finds the name to be another than itself


class Groups:
    """The groups whose members come through one gateway; safe to call from several threads."""

    def __init__(self, jobs: Iterable[str] = ()) -> None:
        """Remember the groups of our jobs."""
        self._assignors = dict.fromkeys(jobs, JOBS_ASSIGNOR)  # by group
        self._most = len(self._assignors) + MOST_GROUPS
        self._mark = uuid.uuid4().hex
        self._waiting: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def new_member(self) -> str:
        """Return a name for a member that has none yet."""
        return f"{self._mark}-{uuid.uuid4()}"

    def is_ours(self, member_id: str) -> bool:
        """Tell whether a member has its name from here: not one of our jobs, nor of another run."""
        return member_id.startswith(self._mark) and _NUL not in member_id

    def refusal(self, join: Any) -> ErrorCode | None:  # any version of kio's JoinGroupRequest
        """Return why a member may not join, if it may not: it shares out otherwise than the first of its group did."""
        names = [protocol.name for protocol in join.protocols]
        if not names or _NUL in names[0] + join.group_id:
            return ErrorCode.inconsistent_group_protocol
        with self._lock:
            if join.group_id not in self._assignors and len(self._assignors) >= self._most:
                return ErrorCode.group_max_size_reached
            known = self._assignors.setdefault(join.group_id, names[0])
        return None if known == names[0] else ErrorCode.inconsistent_group_protocol

    def enter(self, group_id: str, member_id: str) -> bool:
        """Note that the broker is asked for a member; False when it is already."""
        with self._lock:
            is_new = (group_id, member_id) not in self._waiting
            self._waiting.add((group_id, member_id))
        return is_new

    def leave(self, group_id: str, member_id: str) -> None:
        """Note that the broker has answered, or has no such member any more."""
        with self._lock:
            self._waiting.discard((group_id, member_id))
