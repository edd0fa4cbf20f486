"""Mistakes that only the whole command meets, in a process of its own: one line on standard error, exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = {
    "an asset that there is not": ("train.py model.policy.source=asset:nothing", "gpt2_mini"),
    "a model that the hub lacks": ("train.py model.policy.source=gpt3", "model.policy.source"),
    "a folder for a model": ("train.py model.policy.source=/nothing", "no folder /nothing"),
    "a file for a model": ("train.py model.policy.source=/etc/passwd", "config.json"),
    "a folder for a tokenizer": ("train.py model.policy.tokenizer=/nothing", "model.policy.tokenizer"),
    "more blocks than there are": ("train.py model.unfrozen_blocks=1000", "1 to 2"),
    "a hub that is closed": ("train.py data.source=hub", "paths.hub_mirror"),
    "a hub that is closed, for images": ("train.py data=mnist algo=sft data.source=hub", "paths.hub_mirror"),
    "a target inside a module": ("train.py reward._target_=os.path.nothing", "cannot be imported"),
    "a run that there is not": ("train.py init_from=0123456789ab", "no finished run"),
    "outputs in no folder": ("train.py paths.outputs=/proc/x", "cannot write /proc/x"),
    "outputs of a sweep in no folder": ("train.py -m paths.outputs=/proc/x", "cannot write /proc/x"),
    "a flag in the middle, and a mistake": ("train.py algo=ppo -m seed=1,a", "seed=a; expected an integer"),
    "a misspelt short name": ("diagnose.py n_prompt=5", "n_prompt"),
    "a diagnosis of labels": ("diagnose.py data=mnist", "algo=diagnose with data=mnist"),
    "an unknown run": ("sweep.py logs nothing", "key nothing"),
    "a judge of a run": ("train.py judge=local", "judge A B judge=local"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_line_and_ends_with_2(case: str, tmp_path: Path) -> None:
    words, named = CASES[case]
    script, *arguments = words.split()
    if script != "sweep.py":
        arguments.append("tracking=none")
    (tmp_path / "outputs").mkdir()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, ROOT / "src" / script, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(errors) == 1, done.stderr
    assert named in errors[0] and "; expected " in errors[0] and "; change " in errors[0]
    assert "Traceback" not in done.stderr + done.stdout and len(done.stderr.splitlines()) == 1, done.stderr
