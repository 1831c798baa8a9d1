"""What several of the page's unit tests start with."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.worker_scene import Scene


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give a worker with one connection."""
    made = Scene()
    yield made
    made.close()


@pytest.fixture(autouse=True, scope="module")
def _no_watch_is_left() -> Iterator[None]:
    """Let no feed run on behind its tests: its watch ends the process once the consumer thread is slow."""
    yield
    for thread in threading.enumerate():
        if thread.name == "feed-watch":
            thread.join(5)
            assert not thread.is_alive()
