"""`python -m dashboard_app`: the page behind gunicorn, as it is deployed."""

import os
import sys

if __name__ == "__main__":
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "python:dashboard_app.gunicorn_conf",
        "dashboard_app.wsgi:server",
    ]
    os.execv(sys.executable, gunicorn)  # noqa: S606  # our own command; the process and its pid become gunicorn's
