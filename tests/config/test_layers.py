"""Config files of the user's own: `conf/` and `sweeps/` of the working directory go before rftlab's."""

import sys
from pathlib import Path

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.commands import train
from rftlab.config import layers, options
from rftlab.config.compose import Composer
from rftlab.place import CONF
from rftlab.sweeps.job import Job


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: str, text: str) -> None:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def shipped(file: str) -> str:
    return (CONF / file).read_text()


def composed(*overrides: str) -> Job:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return Composer(GlobalHydra.instance().config_loader()).job(list(overrides))


def refusal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str, dry_run: bool = True
) -> str:
    """Return the one line that a command line is refused with."""
    monkeypatch.setattr(sys, "argv", ["rftlab train", *words, *(["-m", "sweep.dry_run=true"] if dry_run else [])])
    with pytest.raises(SystemExit) as stop:
        train.main()
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and "; expected " in line and "; change " in line
    return line


def test_a_dataset_of_ones_own_is_chosen_with_the_tables_of_its_file() -> None:
    text = shipped("data/imdb.yaml").replace("name: imdb", "name: mine").replace("max_tokens: 64", "max_tokens: 33", 1)
    write("conf/data/mine.yaml", text.replace("  mini:\n", "  mini:\n    all: {seed: 7}\n", 1))
    config = composed("data=mine").config
    assert (config["data"]["name"], config["data"]["prompt"]["max_tokens"]) == ("mine", 33)
    assert config["seed"] == 7 and config["model"]["name"] == "gpt2_mini"  # of the tables


def test_a_file_of_ones_own_goes_before_that_of_the_same_name() -> None:
    before = composed("data=imdb")
    write("conf/optimizer/adamw.yaml", shipped("optimizer/adamw.yaml").replace("warmup_steps: 0", "warmup_steps: 3"))
    after = composed("data=imdb")
    assert (before.config["optimizer"]["warmup_steps"], after.config["optimizer"]["warmup_steps"]) == (0, 3)
    assert after.key != before.key


def test_the_same_content_is_the_same_run_wherever_it_lies() -> None:
    before = composed("data=imdb")
    write("conf/data/imdb.yaml", shipped("data/imdb.yaml"))
    assert composed("data=imdb").key == before.key


def test_a_sweep_of_ones_own_is_found_in_sweeps(monkeypatch, capfd) -> None:
    write("sweeps/two.yaml", "# @package _global_\nhydra:\n  sweeper:\n    params: {seed: '3,4'}\n")
    arguments = ["rftlab train", "-m", "+sweep=two", "data=imdb", "sweep.dry_run=true", "tracking=none"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setenv("COLUMNS", "200")
    train.main()
    said = capfd.readouterr().out
    assert "seed=3" in said and "seed=4" in said and "2 jobs" in said


def test_help_and_answers_know_files_of_ones_own(monkeypatch, capfd) -> None:
    write("conf/data/mine.yaml", shipped("data/imdb.yaml").replace("name: imdb", "name: mine"))
    write("conf/reward/judged.yaml", shipped("reward/exact_match.yaml") + "my_very_own_key: 1\n")
    assert " mine " in options.help_text().replace("\n", " ")
    assert "reward.my_very_own_key" in options.known_keys()
    assert "expected mine" in refusal(capfd, monkeypatch, "data=mien")
    Path("conf/reward/judged.yaml").unlink()
    assert "reward.my_very_own_key" not in options.known_keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [x\n", "conf/data/mine.yaml, line 2: "),
        ("name: x\n", "conf/data/mine.yaml:1: no "),
        ("name: x\0\n", "conf/data/mine.yaml"),
        ("defaults: [nothing]\nname: x\n", "data/nothing in its defaults"),
        ("defaults: [mine]\nname: x\n", "conf/data/mine.yaml: defaults that lead back to the file itself"),
        ("", "conf/data/mine.yaml:1: no "),
        ("- 1\n", "conf/data/mine.yaml"),
    ],
)
def test_a_mistake_in_a_file_of_ones_own_is_named_with_it(text: str, said: str, monkeypatch, capfd) -> None:
    write("conf/data/mine.yaml", text)
    assert said in refusal(capfd, monkeypatch, "data=mine")


def test_the_file_of_a_site_is_ones_own(monkeypatch, capfd) -> None:
    write("conf/local/slurm.yaml", "acount: x\n")
    assert "conf/local/slurm.yaml: key acount" in refusal(capfd, monkeypatch, "hydra/launcher=slurm")


def test_a_file_outside_of_groups_is_refused_unless_it_is_that_of_a_checkout(monkeypatch, capfd) -> None:
    write("conf/train.yaml", "seed: 3\n")
    assert "conf/train.yaml, a file of your own" in refusal(capfd, monkeypatch, "data=imdb")
    write("conf/train.yaml", shipped("train.yaml"))
    assert composed("data=imdb").config["seed"] == 0


def test_a_folder_of_configs_other_than_rftlabs_has_no_files_of_ones_own_before_it(folder: Path) -> None:
    write("conf/data/mine.yaml", "name: mine\n")
    other = folder / "other"
    assert layers.find(other, "data/mine") == other / "data/mine.yaml"
    assert layers.find(CONF, "data/mine") == Path("conf/data/mine.yaml")


def test_in_the_checkout_itself_every_file_is_there_once(monkeypatch) -> None:
    monkeypatch.chdir(CONF.parent)
    assert layers.folders(CONF, "data") == [CONF / "data"]
    assert yaml.safe_load(layers.find(CONF, "sweep/seeds").read_text())
