"""gunicorn's log in our format.

Its records go to the root logger, as everybody's do.
"""

import sys
from typing import Any

from gunicorn.glogging import Logger


class RootLogger(Logger):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's logger without handlers of its own; requests are counted (/metrics), not logged."""

    def setup(self, _cfg: Any) -> None:
        """Do without the handlers that gunicorn would make."""
        self.error_log.handlers = []
        self.error_log.propagate = True

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Tell what went wrong; a client that does not take its answer is no fault of ours."""
        if isinstance(sys.exc_info()[1], TimeoutError):
            self.error_log.info("a client did not take its answer, and is let go")
        else:
            super().exception(msg, *args, **kwargs)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write no line per tick."""
