"""The content of the user's own files is part of the key; files of ours and of installed libraries are not."""

import shutil
from pathlib import Path

import pytest
from config.test_config import CONF, plan
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab import runs
from rftlab.config import signatures, sources
from rftlab.config.compose import Composer
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


def test_files_of_ours_and_of_installed_libraries_do_not_count() -> None:
    assert "files" not in plan("data=imdb", "algo=ppo").config
    assert sources.own_files({"build": {"_target_": "torch.optim.AdamW"}, "path": __file__}) == {}
