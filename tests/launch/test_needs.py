"""The hub is asked once, within a bound, before a run that needs it takes its folder."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from rich.console import Console

from rftlab import hub
from rftlab.errors import UserError
from rftlab.launch.launchers import run_locally
from rftlab.launch.needs import only_on_the_hub, require_hub
from rftlab.launch.single import execute
from rftlab.stop import StopFlag
from rftlab.sweeps.job import Job
from rftlab.sweeps.local import make_slots


def config(source: str = "bundled", model: str = "asset:t5_mini", **more: Any) -> dict[str, Any]:
    node = {"source": source, "loader": {"hub_id": "stanfordnlp/imdb"}, **more}
    return {"paths": {"outputs": "", "hub_mirror": None}, "data": node, "model": {"policy": {"source": model}}}


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let the hub be at an address."""
    hub._answers.cache_clear()
    monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
    yield lambda address: monkeypatch.setattr(constants, "ENDPOINT", address)
    hub._answers.cache_clear()


class _NotFound(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


def test_a_run_names_what_only_the_hub_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    reward = {"_target_": "rftlab.rewards.sentiment.load", "source": "lvwerra/distilbert-imdb", "tokenizer": None}
    assert not list(only_on_the_hub(config()))
    asked = {**config("hub", "google-t5/t5-base"), "reward": reward}
    assert list(only_on_the_hub(asked)) == [
        "stanfordnlp/imdb (data.loader.hub_id)",
        "google-t5/t5-base (model.policy.source)",
        "lvwerra/distilbert-imdb (reward.source)",
    ]
    for folder in ("mirror/google-t5/t5-base", "cache/models--lvwerra--distilbert-imdb/snapshots/1/config.json"):
        (tmp_path / folder).mkdir(parents=True)
    asked["paths"]["hub_mirror"] = str(tmp_path / "mirror")  # of datasets it must have all
    assert not list(only_on_the_hub(asked))


def test_without_the_hub_no_run_takes_its_folder(tmp_path: Path, ask) -> None:
    ask("http://127.0.0.1:9")
    values = {**config("hub"), "tracking": {"uri": None}}
    values["paths"] = {"outputs": str(tmp_path), "hub_mirror": None}
    job = Job(config=values, key="0" * 12, folder=tmp_path / "default" / f"run-{'0' * 12}", parents=())
    for launch in (
        lambda: execute(job, StopFlag()),
        lambda: run_locally([job], make_slots(1, 1, 1, []), Console(quiet=True)),
    ):
        with pytest.raises(UserError, match=r"hub that cannot be reached, for stanfordnlp/imdb.*paths\.hub_mirror"):
            launch()
    assert not list(tmp_path.iterdir())


def test_a_hub_that_never_answers_costs_a_bounded_time_once(monkeypatch: pytest.MonkeyPatch, ask) -> None:
    monkeypatch.setattr(hub, "LIMIT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ask(f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(UserError):
                require_hub([config("hub")] * 100)
        assert 0.2 < time.monotonic() - began < 0.8


def test_any_answer_of_the_hub_will_do_and_a_run_that_needs_none_asks_nothing(ask) -> None:
    with HTTPServer(("127.0.0.1", 0), _NotFound) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ask(f"http://127.0.0.1:{server.server_port}")
        require_hub([config()])
        assert _NotFound.asked == 0
        require_hub([config("hub"), config("hub")])
        assert _NotFound.asked == 1
        server.shutdown()
