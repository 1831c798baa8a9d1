"""The page as a process: `python -m dashboard_app` is gunicorn with gunicorn_conf.py."""

import sys
from pathlib import Path

from gunicorn.app.wsgiapp import WSGIApplication


def main() -> None:
    """Run gunicorn in this process, until a signal ends it."""
    configuration = Path(__file__).with_name("gunicorn_conf.py")
    sys.argv = ["dashboard_app", "-c", str(configuration), "dashboard_app.wsgi:server"]
    WSGIApplication("%(prog)s").run()


if __name__ == "__main__":
    main()
