"""What a WSGI server loads: `dashboard_app.wsgi:server`.

The one module that works at import, for that is what WSGI servers ask for; threads start later, in gunicorn's hooks.
"""

from dashboard_app import running, sign_in
from dashboard_app.app import create_app
from dashboard_app.feed import Feed

_configuration = running.configuration()
server = create_app(_configuration.settings, Feed(_configuration.settings)).server
sign_in.install(server, _configuration.settings, users=_configuration.users)
