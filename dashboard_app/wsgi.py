"""What a WSGI server loads: `dashboard_app.wsgi:server`.

The one module that works at import, for that is what WSGI servers ask for; threads start later, in gunicorn's hooks.
"""

from dashboard_app import sign_in
from dashboard_app.app import create_app
from dashboard_app.feed import Feed
from sensorbus.runtime import process

_settings = process.start("dashboard")
server = create_app(_settings, Feed(_settings)).server
sign_in.install(server, _settings)
