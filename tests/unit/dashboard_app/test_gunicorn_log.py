"""gunicorn's records in our log, and none of each request."""

import logging

import pytest
from gunicorn.config import Config

from dashboard_app.gunicorn_log import RootLogger


@pytest.fixture
def logger() -> RootLogger:
    """Give the logger as gunicorn makes it."""
    return RootLogger(Config())


def test_what_gunicorn_says_is_said_once_in_our_format(logger: RootLogger, caplog: pytest.LogCaptureFixture) -> None:
    """Its records go to the root logger, and no handler of its own writes them again."""
    with caplog.at_level("INFO"):
        logger.info("Listening at: %s", "http://127.0.0.1:8050")
    assert [(line.name, line.getMessage()) for line in caplog.records] == [
        ("gunicorn.error", "Listening at: http://127.0.0.1:8050")
    ]
    assert logging.getLogger("gunicorn.error").handlers == []


def test_a_request_is_no_line(logger: RootLogger, caplog: pytest.LogCaptureFixture) -> None:
    """A tick a second of every browser would bury the rest; /metrics counts them."""
    with caplog.at_level("DEBUG"):
        logger.access(None, None, {}, None)
    assert caplog.records == []


def test_preloading_is_switched_off_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """At the start, and at a reload, when gunicorn brings what its command line said once more."""
    logger = None
    for _ in range(2):
        said = Config()
        said.set("preload_app", True)
        if logger is None:
            logger = RootLogger(said)
        else:
            logger.setup(said)
        assert said.preload_app is False
    assert ["--preload is ignored" in line.getMessage() for line in caplog.records] == [True, True]
