"""A report names what was diagnosed: the weights, the rows and the reward that were loaded."""

import io
import json
from html import unescape
from pathlib import Path

import diagnoses
import numpy as np
import pytest
from rich.console import Console

from analysis.preflight import page as html
from analysis.preflight import plots, terminal
from analysis.preflight.reading import read
from analysis.preflight.report import contents_of, file_name

SCORES = diagnoses.scores_of(30, 4, 0.75, 0.1)
LLAMA = {"name": "gpt2", "policy": {"source": "/models/step 500", "init": "pretrained"}}


def reported(folder: Path) -> tuple[str, str, str]:
    """Return page, print and file name."""
    console = Console(width=400, file=io.StringIO())
    contents = contents_of(read(folder), np.random.default_rng(0))
    terminal.show(contents, console)
    title = plots.overview(contents, "x").figure.subfigs[0].get_suptitle().replace("\n", " ")
    return unescape(html.page(contents, [])) + title, console.file.getvalue() + title, file_name(contents.setting)


def written(tmp_path: Path, architecture: str | None = None, **changes: object) -> Path:
    run = diagnoses.write(tmp_path, SCORES, **changes)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"architecture": architecture}))
    return run


def test_a_llama_folder_under_model_gpt2_is_called_what_it_is(tmp_path: Path) -> None:
    page, printed, name = reported(written(tmp_path, "llama", model=LLAMA))
    assert name.startswith("preflight-narrativeqa-step_500-llama-")
    for text in (page, printed):
        assert "step_500-llama" in text and "the pretrained weights of step_500" in text
        assert "model=gpt2" in text  # of the commands, which repeat the option
        assert "gpt2" not in text.replace("model=gpt2", "")


def test_random_weights_are_not_called_pretrained(tmp_path: Path) -> None:
    page, printed, name = reported(
        written(tmp_path, "gpt2", model=LLAMA | {"policy": {"source": "gpt2", "init": "random"}})
    )
    assert "gpt2-random" in name
    for text in (page, printed):
        assert "random weights, nothing pretrained" in text and "the pretrained" not in text


@pytest.mark.parametrize(
    ("hub_id", "mirror", "loader", "words"),
    [
        ("deepmind/narrativeqa", None, "rftlab.data.narrativeqa.load", "narrativeqa, hub data"),
        ("deepmind/narrativeqa", "/data/hub", "rftlab.data.narrativeqa.load", "narrativeqa, rows of a local mirror"),
        ("me/toy", "/data/hub", "rftlab.data.narrativeqa.load", "narrativeqa-toy, rows of a local mirror"),
        ("deepmind/narrativeqa", None, "mine.read_csv", "narrativeqa, rows of a loader of the user's own"),
    ],
)
def test_rows_are_called_after_where_they_were_read(
    hub_id: str, mirror: str | None, loader: str, words: str, tmp_path: Path
) -> None:
    rows = {"_target_": loader, "hub_id": hub_id, "hub_config": None, "n_train": None}
    changes = {"data__source": "hub", "data__loader": rows, "paths__hub_mirror": mirror}
    page, printed, _ = reported(written(tmp_path, **changes))
    for text in (page, printed):
        assert words in text
        assert ("hub data" in text) == ("hub data" in words)


def test_the_embedded_classifier_on_real_rows_is_named_in_title_and_verdict(tmp_path: Path) -> None:
    changes = {"data__name": "imdb", "data__reward": {"source": "asset:sentiment"}}
    for text in reported(written(tmp_path / "real", data__source="hub", **changes))[:2]:
        assert text.count("reward near chance on real reviews") >= 4  # title, disclaimer, verdict, figure
    for text in reported(written(tmp_path / "bundled", **changes))[:2]:
        assert "reward near chance on real reviews" not in text
