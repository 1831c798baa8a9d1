"""The table of rights in docs/security.md, as what Kafka is to be told."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.support.sources import REPOSITORY

_PAGE: Final = REPOSITORY / "docs" / "security.md"
_ROW: Final = re.compile(r"^\| `([\w-]+)` \| (topic|group|transactional id) \| (.+) \| ([A-Z_, ]+) \|$", re.MULTILINE)
_JOBS: Final = ("alert", "alert-count", "avg-temp")


class Right(NamedTuple):
    """Operations of a user on one thing; `kind` is the name of a Kafka resource type."""

    user: str
    kind: str
    name: str
    prefixed: bool
    operations: list[str]


def rights(prefix: str) -> Iterator[Right]:
    """Yield what the table gives, with this topic prefix."""
    for user, kind, names, operations in _ROW.findall(_PAGE.read_text(encoding="utf-8")):
        for name in re.findall(r"`([^`]+)`", names):
            full = name.replace("<prefix>", prefix)
            yield Right(
                user,
                kind.upper().replace(" ", "_"),
                full.removesuffix("*"),
                full.endswith("*"),
                operations.split(", "),
            )


def rights_of_all(prefix: str) -> Iterator[Right]:
    """Yield what job `all` has: the rights of the three under its own name, once for each thing."""
    given: dict[tuple[str, str, bool], set[str]] = {}
    for right in rights(prefix):
        if right.user in _JOBS:
            name = re.sub(rf"sensorbus\.{right.user}(?=$|\.|--)", "sensorbus.all", right.name)
            given.setdefault((right.kind, name, right.prefixed), set()).update(right.operations)
    for (kind, name, prefixed), operations in given.items():
        included = {"DESCRIBE"} if operations & {"READ", "WRITE"} else set()
        yield Right("all", kind, name, prefixed, sorted(operations - included))
