"""The page of a sweep: whole, alone in one file, and escaped whatever its runs said."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from builder import config, write_run

from analysis.sweep_page import pictures, write
from rftlab.commands import sweep as sweep_cli

EVIL = "<script>alert('x')</script> & \u202e\x1b[2J {{ 7 * 7 }} \ud800"
VOID = {"meta", "link", "img", "br", "hr"}


class Page(HTMLParser):
    """Read a page and check that its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        self.images += [given] if tag == "img" else []
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def asked(algo: str, seed: int) -> dict:
    words = ["data=imdb", f"algo={algo}"]
    return config("imdb", algo, "none", seed, algo__loop={"iterations": 12}, overrides=words)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Two algorithms with two seeds, samples of before and after, and a run that failed."""
    for algo in ("ppo", "apa"):
        for seed in (0, 1):
            folder = write_run(tmp_path, asked(algo, seed))
            rows = [
                {"step": step, "split": "test", "prompt_id": "p0", "prompt": "a question", "response": said, "score": s}
                for step, said, s in ((0, f"{EVIL} of before", 0.25), (6, "between", 0.3), (12, "of after", 0.75))
            ]
            rows[2] |= {"gold": -1.5} if algo == "ppo" else {}
            (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = write_run(tmp_path, asked("ppo", 2), "failed")
    (folder / "status.json").write_text(json.dumps({"state": "failed", "attempt": 1, "error": f"ValueError: {EVIL}"}))
    (folder / "log.txt").write_text(EVIL.encode(errors="replace").decode())
    return tmp_path


def report(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the command in this process and return the page."""
    monkeypatch.setattr(sys, "argv", ["sweep.py", "report", "--outputs", str(outputs)])
    with pytest.raises(SystemExit) as stop:
        sweep_cli.main(write)
    assert stop.value.code == 0
    return (outputs / "default" / "index.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_nobody(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = report(outputs, monkeypatch)
    page = Page(text)
    assert "script" not in page.tags and "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp;" in text
    assert "{{ 7 * 7 }}" in text and not {"\u202e", "\x1b", "\ud800"} & set(text)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert page.images and all(len(image["alt"]) > 20 for image in page.images)
    assert 'name="viewport"' in text and "@media print" in text and 'lang="en"' in text
    for words in ("Highest: algo=", "of before", "0.250", "of after", "0.750", "1 failed", "n = 2 seeds"):
        assert words in text
    assert "between" not in text and text.count("0.750, gold -1.500<") == 1  # of the run with a gold reward
    for run in outputs.glob("default/*/config.yaml"):
        assert run.parent.name[-12:] in text
    assert f"python src/sweep.py compare --sweep default --outputs {outputs}" in text
    assert [path.name for path in (outputs / "default").glob("*index*")] == ["index.html"]


def test_its_figures_are_files_too_and_those_of_before_go(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = outputs / "default" / "figures"
    folder.mkdir()
    (folder / "old.svg").write_text("of another axis")
    (folder / "mine.pdf").write_text("of the user")
    page = Page(report(outputs, monkeypatch))
    found = sorted(path.name for path in folder.iterdir())
    assert len(found) == len(page.images) + 1 and "old.svg" not in found and "mine.pdf" in found


def test_the_same_runs_give_the_same_page(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report(outputs, monkeypatch) == report(outputs, monkeypatch)


def test_a_figure_that_fails_is_named_and_the_page_is_written(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no such axis")

    broken, *_ = [file for file in pictures.everything.files() if file.__name__.endswith("learning_curves")]
    monkeypatch.setattr(broken, "draw", fail)
    text = report(outputs, monkeypatch)
    assert "Not drawn: learning_curves: ValueError: no such axis" in text and Page(text).images


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = outputs / "default" / "index.html"
    path.write_text("the old page")
    monkeypatch.setattr(sys, "argv", ["sweep.py", "report", "--outputs", str(outputs)])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SystemExit) as stop:
        sweep_cli.main(write)
    assert stop.value.code == 2 and "No space left" in capsys.readouterr().err
    assert path.read_text() == "the old page"


def test_without_the_analysis_the_command_says_so(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep.py", "report", "--outputs", str(outputs)])
    with pytest.raises(SystemExit) as stop:
        sweep_cli.main()
    assert stop.value.code == 2 and "no folder `analysis`" in capsys.readouterr().err
