"""A real HTTP server that speaks the protocol of chat completions, and misbehaves as it is told."""

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Asked:
    """What the server has heard."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def questions(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.bodies]


def said(text: str | None, **usage: int) -> Reply:
    """Make an answer as an endpoint does."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return 200, {}, json.dumps(body | ({"usage": usage} if usage else {})).encode()


def longer(question: str) -> Reply:
    """Prefer the longer reply; equal lengths are a tie."""
    a = question.split("[Reply A]\n")[1].split("\n\n[Reply B]")[0]
    b = question.split("[Reply B]\n")[1].split("\n\nAnswer")[0]
    word = "A" if len(a) > len(b) else "B" if len(b) > len(a) else "tie"
    return said(f"Verdict: {word}", prompt_tokens=len(question), completion_tokens=3)


@contextmanager
def serving(behaviour: Callable[[int, str], Reply | str]) -> Generator[Asked]:
    """Serve; `behaviour` is given the number of the request and its question.

    It returns a reply, or "cut" (the connection is closed without one), "half" (in the middle of one) or "drip" (a byte
    at a time, without end).
    """
    asked, lock = Asked(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(asked.bodies)
                asked.bodies.append(body)
                asked.keys.append(self.headers["authorization"])
                asked.paths.append(self.path)
                asked.times.append(time.monotonic())
            reply = behaviour(number, body["messages"][-1]["content"])
            try:
                self.answer(reply)
            except OSError:  # the client has left
                self.close_connection = True

        def answer(self, reply: Reply | str) -> None:
            if reply == "cut":
                self.close_connection = True
                return
            status, headers, content = said("Verdict: A") if isinstance(reply, str) else reply
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if reply == "half":
                self.wfile.write(content[:10])
                self.close_connection = True
            elif reply == "drip":
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.05)
            else:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    asked.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
