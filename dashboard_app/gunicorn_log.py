"""gunicorn's log in our format.

Its records go to the root logger, as everybody's do.
"""

from typing import Any

from gunicorn.glogging import Logger


class RootLogger(Logger):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's logger without handlers of its own; requests are counted (/metrics), not logged."""

    def setup(self, _cfg: Any) -> None:
        """Do without the handlers that gunicorn would make."""
        self.error_log.handlers = []
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write no line per tick."""
