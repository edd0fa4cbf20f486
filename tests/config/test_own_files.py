"""The content of the user's own files is part of the key; files of ours and of installed libraries are not."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from config.test_config import CONF, composer, plan
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab import assets, runs
from rftlab.assets import asset_folder
from rftlab.config import signatures, sources
from rftlab.config.compose import Composer
from rftlab.errors import UserError
from rftlab.files import files_below
from rftlab.sweeps.job import Job

REWARD = """
import numpy as np
import helper_of_mine

class Reward:
    def __init__(self, table: str) -> None:
        self.table = table
    def __call__(self, prompts, responses, targets):
        return np.zeros(len(responses))
"""
CHANGES = {
    "reward": ("reward_of_mine.py", REWARD.replace("zeros", "ones"), "files.reward_of_mine"),
    "helper": ("helper_of_mine.py", "LIMIT = 2\n", "files.helper_of_mine"),
    "table": ("table.csv", "text,label\nb,1\n", "files.{folder}/table.csv"),
}


def own(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a config that are not embedded models."""
    return {name: content for name, content in config.get("files", {}).items() if not name.startswith("asset:")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "reward_of_mine.py").write_text(REWARD)
    (tmp_path / "helper_of_mine.py").write_text("LIMIT = 1\n")
    (tmp_path / "table.csv").write_text("text,label\na,1\n")
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    return tmp_path


def forget() -> None:
    """Forget what was read, as another process would."""
    for cached in (signatures.signature, signatures._file, signatures._Module.read, sources._modules):
        cached.cache_clear()


def job(folder: Path) -> Job:
    """Compose a run of a dataset whose file names a reward of the user's own, with a file that it reads."""
    conf = folder / "conf"
    if not conf.exists():
        shutil.copytree(CONF, conf, symlinks=True)
        before, _, after = (CONF / "data" / "narrativeqa.yaml").read_text().partition("\nreward:")
        own = f"{{_target_: reward_of_mine.Reward, table: {folder / 'table.csv'}}}"
        rest = after[after.index("\nneeds_targets") :].split("\n  paper:")[0]
        (conf / "data" / "mine.yaml").write_text(
            f"{before}\nreward: {own}{rest}".replace("name: narrativeqa", "name: mine")
        )
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        return Composer(GlobalHydra.instance().config_loader()).job(["data=mine", "algo=ppo"])


@pytest.mark.parametrize("which", CHANGES)
def test_an_edit_of_a_file_of_the_users_own_is_another_run_and_named(folder: Path, which: str) -> None:
    before = job(folder)
    assert job(folder).key == before.key
    name, text, changed = CHANGES[which]
    (folder / name).write_text(text)
    forget()
    after = job(folder)
    assert after.key != before.key
    assert runs.changed_keys(before.config, after.config) == [changed.format(folder=folder)]


def named(folder: Path, value: Path | str | None = None) -> dict[str, str]:
    """Hash what a node of the user's own names: by default the folder `texts`."""
    return sources.own_files({"reward": {"_target_": "reward_of_mine.Reward", "table": str(value or folder / "texts")}})


def test_a_folder_that_a_value_names_counts_with_names_and_contents_of_all_files_below(folder: Path) -> None:
    (folder / "texts" / "deep").mkdir(parents=True)
    (folder / "texts" / "deep" / "a.txt").write_text("1")
    seen = [named(folder)[str(folder / "texts")]]
    (folder / "texts" / ".hidden").write_text("does not count")
    assert named(folder)[str(folder / "texts")] == seen[0]
    for name, text in (("a.txt", "2"), ("b.txt", ""), ("b.txt", "1")):
        (folder / "texts" / "deep" / name).write_text(text)
        seen.append(named(folder)[str(folder / "texts")])
    (folder / "texts" / "deep" / "b.txt").rename(folder / "texts" / "c.txt")
    seen.append(named(folder)[str(folder / "texts")])
    assert len(set(seen)) == len(seen)


def test_words_that_are_no_path_do_not_count(folder: Path) -> None:
    for word in ("/", ".", "..", " "):
        assert set(named(folder, word)) == {"helper_of_mine", "reward_of_mine"}


def test_a_huge_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "texts").mkdir()
    for name in "abc":
        (folder / "texts" / name).write_text(name)
    monkeypatch.setattr(sources, "MOST_FILES", 3)
    named(folder)
    monkeypatch.setattr(sources, "MOST_FILES", 2)
    with pytest.raises(UserError, match=r"texts, a folder of more than 2 files"):
        named(folder)


def test_linked_folders_are_entered_each_once(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "rows").write_text("")
    (tmp_path / "set" / "data").symlink_to(tmp_path / "else")
    (tmp_path / "else" / "back").symlink_to(tmp_path / "set")
    assert list(files_below(tmp_path / "set")) == [tmp_path / "set" / "data" / "rows"]


MODELS = {
    "policy": ("algo=ppo", "model.policy.source={}"),
    "tokenizer": ("algo=ppo", "model.policy.tokenizer={}"),
    "reward": ("algo=ppo", "reward.source={}"),
}


@pytest.mark.parametrize("which", MODELS)
def test_another_content_of_a_local_model_folder_is_another_run(tmp_path: Path, which: str) -> None:
    shutil.copytree(asset_folder("sentiment" if which == "reward" else "gpt2_mini"), tmp_path / "model")
    words = ["data=imdb", *(word.format(tmp_path / "model") for word in MODELS[which])]
    before = plan(*words)
    assert list(own(before.config)) == [str(tmp_path / "model")]
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    composer.cache_clear()  # as another command would read it: a composer reads a folder once
    after = plan(*words)
    assert after.key != before.key
    assert runs.changed_keys(before.config, after.config) == [f"files.{tmp_path / 'model'}"]


def test_models_of_a_mirror_are_known_by_their_id(tmp_path: Path) -> None:
    shutil.copytree(asset_folder("gpt2_mini"), tmp_path / "org" / "model")
    words = ("data=imdb", "algo=ppo", "model.policy.source=org/model", "model.policy.tokenizer=asset:tokenizer")
    assert not own(plan(*words, f"paths.hub_mirror={tmp_path}").config)


def test_a_grid_lists_and_reads_a_model_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(asset_folder("gpt2_mini"), tmp_path / "model")
    read: list[Path] = []
    true = sources._hashed_folder
    monkeypatch.setattr(sources, "_hashed_folder", lambda path: read.append(path) or true(path))
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader())
        words = ["data=imdb", "algo=ppo", f"model.policy.source={tmp_path / 'model'}"]
        keys = {composer.job([*words, f"seed={seed}"]).key for seed in range(5)}
    assert len(keys) == 5 and read.count(tmp_path / "model") == 1 and len(read) == len(set(read))


@pytest.fixture
def remade(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a function that changes the weights of an embedded model, or a file of it, as `make assets` would."""
    true = sources._content

    def change(name: str) -> None:
        place = str(assets.FOLDER / name)
        other = {place: "0" * sources.DIGITS}
        monkeypatch.setattr(sources, "_content", lambda text, folders: other.get(text) or true(text, folders))

    return change


def test_the_first_embedded_models_do_not_count_and_made_again_they_do(
    remade: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("data=imdb", "algo=ppo")
    folders = [path for path in assets.FOLDER.iterdir() if path.is_dir()]
    today = {path.name: sources._hashed_folder(path) for path in folders}
    monkeypatch.setattr(sources, "EMBEDDED_FIRST", today)
    first = plan(*words)
    assert "files" not in first.config and sources.edited_files(first.config) == []
    for name in ("gpt2_mini", "tokenizer", "sentiment"):  # the policy, its tokenizer, the reward
        remade(name)
        again = plan(*words)
        assert again.key != first.key and again.config["files"] == {f"asset:{name}": "0" * sources.DIGITS}
        assert sources.edited_files(again.config) == []
        assert sources.edited_files(first.config) == [f"asset:{name}"]  # a stored run is not gone on with other weights
    remade("t5_mini")
    assert plan(*words).key == first.key  # named by no part of this run


def test_pretraining_counts_the_shape_of_what_it_makes_alone(remade: Callable[[str], None]) -> None:
    words = ("data=corpus_spans", "algo=pretrain")
    first = plan(*words).key
    remade("t5_mini")
    assert plan(*words).key == first
    remade("t5_mini/config.json")
    assert plan(*words).key != first


def test_files_that_are_not_what_a_key_says_are_named(folder: Path) -> None:
    config = job(folder).config
    assert sources.edited_files(config) == []
    (folder / "table.csv").write_text("text,label\nb,1\n")
    (folder / "helper_of_mine.py").unlink()
    forget()
    assert sources.edited_files(config) == [str(folder / "table.csv"), "helper_of_mine"]
    with pytest.raises(UserError, match=r"table\.csv, helper_of_mine, edited or moved since mine-1 .* another run"):
        sources.refuse_edited(config, "mine-1")


def test_files_of_ours_and_of_installed_libraries_do_not_count() -> None:
    assert not own(plan("data=imdb", "algo=ppo").config)
    assert sources.own_files({"build": {"_target_": "torch.optim.AdamW"}, "path": __file__}) == {}
