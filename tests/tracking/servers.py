"""Tracking servers for tests: MLflow on SQLite that can be killed and come back, and a proxy that misbehaves."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

START_S = 120.0
HOP_BY_HOP = ("connection", "transfer-encoding", "keep-alive", "content-length", "date", "server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_healthy(uri: str, process: subprocess.Popen[Any], log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


class Server:
    """MLflow over HTTP, on a SQLite file and a port that stay the same from one start to the next."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, without waiting for it."""
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", self.uri.rpartition(":")[2]),
            *("--backend-store-uri", f"sqlite:///{self._folder}/server.db"),
            *("--artifacts-destination", str(self._folder / "artifacts")),
        ]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self._folder, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        wait_until_healthy(self.uri, self._process, self._log)

    def kill(self) -> None:
        """Kill it with its workers, at once; nothing happens where it does not run."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


class Proxy:
    """Pass requests on to a server, or do what `mode` says: pass, slow, error, lose (the answer to a write)."""

    def __init__(self, upstream: str) -> None:
        self.mode = "pass"
        self.delay_s = 5.0
        self.requests = 0
        proxy = self
        address = upstream.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy.requests += 1
                mode = proxy.mode
                body = self._body()
                if mode == "error":
                    self._answer(500, {}, b"out of order")
                    return
                if mode == "slow":
                    time.sleep(proxy.delay_s)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                if mode == "lose" and self.command != "GET" and not self.path.endswith("/search"):
                    self.close_connection = True  # the server has written it, and the client never learns
                    return
                self._answer(answer.status, dict(answer.getheaders()), content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", "0")))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class QuietServer(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing of clients that went away."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def running_proxy(upstream: str) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
