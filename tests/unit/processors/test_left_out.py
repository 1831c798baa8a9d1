"""Tests of what a job's process does without."""

import json
import subprocess
import sys
from contextlib import suppress

from processors.left_out import _LEFT_OUT, unused_modules_left_out
from tests.support.sources import REPOSITORY

_IMPORT = """
import json, sys
from processors.left_out import unused_modules_left_out
with unused_modules_left_out():
    import processors.application
from quixstreams.models.serializers.json import SchemaRegistryClient
try:
    SchemaRegistryClient({"url": "http://localhost"})
except ImportError as error:
    said = str(error)
loaded = sorted(sys.modules)
import httpx
from confluent_kafka.schema_registry import SchemaRegistryClient
print(json.dumps([loaded, said, httpx.Client.__module__, SchemaRegistryClient.__module__]))
"""


def test_the_jobs_are_there_and_what_they_do_not_use_is_not() -> None:
    """Nor what only that brings; who needs it nevertheless is told, and has the real one afterwards."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    loaded, said, of_httpx, of_registry = json.loads(done.stdout)
    assert "processors.avg_temp" in loaded
    assert {
        *_LEFT_OUT,
        "authlib",
        "fastavro",
        "joserfc",
        "referencing",
        "httpcore",
        "cramjam",
        "kafka",
        "kio",
        "numpy",
    } & set(loaded) == set()
    assert said == (
        "confluent_kafka.schema_registry.SchemaRegistryClient is left out of a job's process (processors/left_out.py)"
    )
    assert of_httpx.startswith("httpx")
    assert of_registry.startswith("confluent_kafka.schema_registry")


def test_what_is_there_already_stays() -> None:
    """A placeholder takes nobody's module away, and goes when the block fails."""
    before = {name: sys.modules.get(name) for name in _LEFT_OUT}
    with suppress(ZeroDivisionError), unused_modules_left_out():
        assert all(sys.modules[name] is module for name, module in before.items() if module)
        assert all(name in sys.modules for name in _LEFT_OUT)
        raise ZeroDivisionError
    assert {name: sys.modules.get(name) for name in _LEFT_OUT} == before
