"""The page as a process: gunicorn with gunicorn_conf.py.

`python -m dashboard_app` starts it.
"""

import os
import sys
from pathlib import Path
from typing import Final

from gunicorn.app.wsgiapp import WSGIApplication

from sensorbus.contract.settings import variable_name

#: gunicorn takes more arguments from it, and they would win over all settings.
_ARGUMENTS_VARIABLE: Final = "GUNICORN_CMD_ARGS"
_SETTINGS: Final = (
    f"{variable_name('dashboard_host')}, {variable_name('dashboard_port')} and what else docs/settings.md lists"
)


def main() -> None:
    """Run gunicorn in this process, until a signal ends it; exit code 2 and one line for any argument."""
    _refuse(sys.argv[1:])
    if os.environ.pop(_ARGUMENTS_VARIABLE, None):
        sys.stderr.write(f"dashboard_app: {_ARGUMENTS_VARIABLE} is ignored; set {_SETTINGS}\n")
    configuration = Path(__file__).with_name("gunicorn_conf.py")
    sys.argv = ["dashboard_app", "-c", str(configuration), "dashboard_app.wsgi:server"]
    WSGIApplication("%(prog)s").run()


def _refuse(arguments: list[str]) -> None:
    """End the process when there are arguments: gunicorn would never see them."""
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(f"usage: python -m dashboard_app\nIt is set by the environment: {_SETTINGS}.\n")
        sys.exit(0)
    if arguments:
        sys.stderr.write(f"dashboard_app: {' '.join(arguments)!r} is not taken; set {_SETTINGS}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
