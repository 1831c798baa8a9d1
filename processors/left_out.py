"""Leaves out of a job's process what Quix imports and no job here uses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final, NoReturn

#: Of Quix's serializers but for bytes, and of its look-ups: half of what a job's start computed (docs/benchmarks.md).
_LEFT_OUT: Final = (
    "confluent_kafka.schema_registry",
    "confluent_kafka.schema_registry.json_schema",
    "httpx",
    "jsonpath_ng",
    "jsonschema",
)


class _Placeholder(ModuleType):
    """Has each name that somebody imports from it, as a class that cannot be made."""

    def __getattr__(self, name: str) -> type[Exception]:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: object, **__: object) -> NoReturn:
            error = f"{self.__name__}.{name} is left out of a job's process (processors/left_out.py)"
            raise ImportError(error)

        return type(name, (Exception,), {"__new__": refuse})  # an exception, since some are named after `except`


@contextmanager
def unused_modules_left_out() -> Iterator[None]:
    """Have the block, which imports Quix, find placeholders; whoever imports these modules later has the real ones."""
    placeholders = {name: _Placeholder(name) for name in _LEFT_OUT if name not in sys.modules}
    sys.modules.update(placeholders)
    try:
        yield
    finally:
        for name in placeholders:
            del sys.modules[name]
