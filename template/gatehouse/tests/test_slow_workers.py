"""Workers of a machine that is busy: one that needs long to start is no worker that hangs."""

import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from gatehouse.state import Gatehouse

pytestmark = pytest.mark.thorough

SLOW = 7  # seconds; uvicorn by itself kills a worker that has not answered in 5
SCRIPT = """
import sys, time
from pathlib import Path

if __name__ == "__mp_main__":  # in a worker, which imports this first
    time.sleep({slow})

from gatehouse import run

if __name__ == "__main__":
    run({app!r}, migrations={migrations})
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_worker_may_take_its_time_to_start(
    pytestconfig: pytest.Config, core: Gatehouse, auth_key: str, tmp_path: Path
) -> None:
    migrations = core.migrations and f"Path({str(core.migrations)!r})"
    app = pytestconfig.getini("gatehouse_app")
    script, log = tmp_path / "service.py", tmp_path / "serve.log"
    script.write_text(SCRIPT.format(slow=SLOW, app=app, migrations=migrations))
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GLIBC_TUNABLES": ""}
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, str(script), "serve", "--workers", "2", "--port", str(port)],
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        deadline = time.monotonic() + 120
        while log.read_text().count("Application startup complete") < 2:
            assert server.poll() is None, log.read_text()
            assert "died" not in log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        assert "died" not in log.read_text()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
