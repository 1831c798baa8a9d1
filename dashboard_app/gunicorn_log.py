"""gunicorn's log in our format.

Its records go to the root logger, as everybody's do.
"""

import sys
from typing import Any, Final

from gunicorn.glogging import Logger

#: What a page that is loaded in the master could not do: SIGHUP would let in the users of before, and several workers
#: count each for itself, since prometheus_client was there before its variable.
_PRELOAD: Final = "--preload is ignored: each worker loads the page, and so with the users of the newest reload"


class RootLogger(Logger):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's logger without handlers of its own; requests are counted (/metrics), not logged."""

    def setup(self, cfg: Any) -> None:
        """Do without the handlers that gunicorn would make, and without `--preload`.

        gunicorn calls it before it would load the page, at the start and at SIGHUP; gunicorn_conf.py has no such hook.
        """
        self.error_log.handlers = []
        self.error_log.propagate = True
        if cfg.preload_app:
            cfg.set("preload_app", False)
            self.warning(_PRELOAD)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Tell what went wrong; a client that does not take its answer is no fault of ours."""
        if isinstance(sys.exc_info()[1], TimeoutError):
            self.error_log.info("a client did not take its answer, and is let go")
        else:
            super().exception(msg, *args, **kwargs)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write no line per tick."""
