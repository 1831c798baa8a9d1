"""The page as a process: gunicorn with gunicorn_conf.py.

`python -m dashboard_app` starts it.
"""

import sys
from pathlib import Path

from gunicorn.app.wsgiapp import WSGIApplication

from sensorbus.contract.settings import variable_name


def main() -> None:
    """Run gunicorn in this process, until a signal ends it; exit code 2 and one line for any argument."""
    _refuse(sys.argv[1:])
    configuration = Path(__file__).with_name("gunicorn_conf.py")
    sys.argv = ["dashboard_app", "-c", str(configuration), "dashboard_app.wsgi:server"]
    WSGIApplication("%(prog)s").run()


def _refuse(arguments: list[str]) -> None:
    """End the process when there are arguments: gunicorn would never see them."""
    settings = (
        f"{variable_name('dashboard_host')}, {variable_name('dashboard_port')} and what else docs/settings.md lists"
    )
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(f"usage: python -m dashboard_app\nIt is set by the environment: {settings}.\n")
        sys.exit(0)
    if arguments:
        sys.stderr.write(f"dashboard_app: {' '.join(arguments)!r} is not taken; set {settings}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
