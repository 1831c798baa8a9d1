"""The WSGI entry point: `gunicorn -c dashboard_app/gunicorn_conf.py dashboard_app.wsgi:server`.

The one module that works at import: gunicorn imports it in each worker, after the fork.
"""

from dashboard_app import app
from sensorbus.runtime import process

page = app.create(process.start("dashboard"))
server = page.server
