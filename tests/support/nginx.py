"""The real nginx with deploy/nginx.conf.

Only ports, paths and the page's address are ours.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.certificates import Issued
from tests.support.manifests import DEPLOY
from tests.support.real_kafka import free_ports
from tests.support.waiting import wait_until

_MAIN: Final = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
#: Started by root, its workers would be somebody who may not write in the folder of a test.
_USER: Final = "user root;" if os.geteuid() == 0 else ""
_WITHIN_S: Final = 10.0


class Nginx:
    """One nginx in front of pages on these ports of this machine; a context manager."""

    def __init__(self, folder: Path, issued: Issued, *upstream_ports: int) -> None:
        """Keep its files in `folder`."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.plain_port = free_ports()
        (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=_USER))
        (folder / "site.conf").write_text(self._site(issued, upstream_ports))
        self.access_log, self.error_log = folder / "access.log", folder / "error.log"

    def _site(self, issued: Issued, upstream_ports: tuple[int, ...]) -> str:
        upstreams = " ".join(rf"server 127.0.0.1:{port} \1;" for port in upstream_ports)
        replaced = {
            r"server 127\.0\.0\.1:8050 (.*);": upstreams,
            r"listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            r"listen 443 ": f"listen 127.0.0.1:{self.port} ",
            r"server_name sensors\.example\.com;": "server_name localhost;",
            r"/etc/ssl/certs/sensors\.example\.com\.pem": str(issued.certificate),
            r"/etc/ssl/private/sensors\.example\.com\.key": str(issued.key),
            r"/var/log/nginx/sensorbus\.log": str(self._folder / "access.log"),
        }
        text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
        for ours, here in replaced.items():
            text, count = re.subn(ours, here, text)
            assert count, ours
        return text

    def __enter__(self) -> Self:
        """Check the file as an operator would, and start."""
        command = [str(program()), "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: is_open(self.plain_port), _WITHIN_S, "nginx to listen", self.error_log)
        except AssertionError:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._stop()

    @property
    def pid(self) -> int:
        """Return its master process; the worker is a child of that."""
        assert self._process is not None
        return self._process.pid

    def reload(self) -> None:
        """Let it read its file anew, as `systemctl reload nginx` does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_WITHIN_S)


def is_open(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program() -> Path | None:
    """Return nginx, which is in no user's PATH on Debian, or None."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return Path(found) if found else None


def why_not() -> str | None:
    """Return why nginx cannot be started here, or None."""
    return None if program() else "nginx is not there (Debian: nginx-light)"
