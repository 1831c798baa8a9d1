"""The table of rights in docs/security.md, as what Kafka is to be told."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.support.sources import REPOSITORY

_PAGE: Final = REPOSITORY / "docs" / "security.md"
_ROW: Final = re.compile(r"^\| `([\w-]+)` \| (topic|group|transactional id) \| (.+) \| ([A-Z_, ]+) \|$", re.MULTILINE)


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
