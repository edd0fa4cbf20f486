"""Bad input: one line with what was found, what was expected and what to change; exit code 2; nothing started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rftlab.commands import train

SEARCH, HYPERBAND = ["-m", "hydra/sweeper=optuna", "sweep.dry_run=true"], "hydra/sweeper/pruner=hyperband"
LR = "optimizer.lr=tag(log,interval(1e-5,1e-3))"
CASES = {
    "unknown key": (["foo=1"], "expected one of algo, data, "),
    "unknown key with plus": (["+foo=1"], "foo"),
    "forced unknown key": (["++algo.foo=1"], "algo.foo"),
    "misspelt key names the nearest": (["algo.loss.clip_rage=1"], "algo.loss.clip_range"),
    "misspelt key with plus names the nearest": (["+algo.loss.clip_rage=1"], "algo.loss.clip_range"),
    "key of another option": (["heuristic=entropy", "algo=sft"], "algo.loss.entropy_coef"),
    "preset of another loop": (
        ["algo=sft", "experiment=apa/like_for_like"],
        "experiment=apa/like_for_like, which sets algo.loop.update_epochs, with a choice of algo that does not have it",
    ),
    "what to change of a preset": (["algo=dpo", "experiment=apa/like_for_like"], "change experiment or algo"),
    "wrong type": (["algo.loop.iterations=abc"], "algo.loop.iterations"),
    "fraction for a count": (["seed=0.5"], "seed"),
    "empty value": (["seed="], "seed"),
    "unknown option": (["algo=foo"], "apa, awr, diagnose"),
    "unknown group": (["algos=ppo"], "algos"),
    "no override at all": (["ppo"], "KEY=VALUE"),
    "unbalanced bracket": (["data.loader.n_train=[1"], "KEY=VALUE"),
    "clashing flags": (["-m", "--cfg", "job"], "--multirun"),
    "negative learning rate": (["optimizer.lr=-1"], "optimizer.lr"),
    "no learning rate": (["optimizer.lr=0"], "optimizer.lr"),
    "share above one": (["algo=sft", "algo.loop.step_fraction=1.5"], "algo.loop.step_fraction"),
    "one sample has no std": (["eval.probe_samples=1"], "eval.probe_samples"),
    "bad choice": (["data.prompt.truncation_side=middle"], "left or right"),
    "model of no family": (["model.policy.family=encoder"], "seq2seq or causal or classifier"),
    "bad source": (["data.source=web"], "bundled or hub"),
    "minibatch does not divide": (["algo.loop.minibatch_size=7"], "algo.loop.minibatch_size"),
    "microbatch does not divide": (["algo=sft", "algo.loop.microbatch_size=5"], "algo.loop.microbatch_size"),
    "encoder-only model for generation": (["data=imdb", "model=distilbert_mini"], "model"),
    "policy as classifier": (["algo=pretrain", "data=review_labels", "model=gpt2_mini"], "model or data"),
    "no reward": (["algo=ppo", "data=corpus_spans"], "data"),
    "pretraining on a task": (["algo=pretrain", "algo.loop.steps=1", "algo.loop.batch_size=1",
                               "algo.loop.microbatch_size=1", "optimizer.lr=0.1"], "corpus_spans"),
    "more prompts than data": (["data.loader.n_train=8"], "data.loader.n_train"),
    "minimum length above maximum": (["data.rollout.min_new_tokens=99"], "data.rollout.min_new_tokens"),
    "no mirror": (["data.source=hub", "paths.hub_mirror=/nowhere"], "paths.hub_mirror"),
    "embedded classifier on real reviews": (["data=imdb", "data.source=hub"], "reward.at_chance=true"),
    "whole texts of a model with an encoder": (["algo=sft", "algo.loop.whole_text=64"], "algo.loop.whole_text"),
    "no weight of precision and recall": (["reward.weight=0"], "reward.weight"),
    "no device": (["runtime.device=cuda"], "runtime.device"),
    "unknown parent": (["init_from=0123456789ab"], "init_from"),
    "one wrong job of a grid": (["-m", "algo=ppo,apa", "optimizer.lr=1e-3,-1"], "optimizer.lr"),
    "one wrong option of a grid": (["-m", "algo=ppo,apax"], "algo"),
    "no slots": (["-m", "hydra.launcher.slots=0"], "hydra.launcher.slots"),
    "more slots than cores": (["-m", "hydra.launcher.slots=4096"], "hydra.launcher.slots"),
    "more threads than cores": (["-m", "runtime.threads=4096"], "cores"),
    "word for a number of slots": (["-m", "hydra.launcher.slots=two"], "hydra.launcher.slots"),
    "misspelt launcher key": (["-m", "hydra.launcher.slotz=1"], "hydra.launcher.slots"),
    "key of the other launcher": (["-m", "hydra.launcher.partition=main"], "hydra.launcher.partition"),
    "unknown launcher": (["-m", "hydra/launcher=slrum"], "slurm"),
    "unknown sweep": (["-m", "+sweep=heuristic"], "heuristics"),
    "another sweeper": (["-m", "hydra/sweeper=basic"], "hydra/sweeper"),
    "a step of nothing": (["-m", "seed=range(0,2,0)"], "seed=range(0,2,0), which never ends"),
    "a range without a sweep": (["seed=range(0,2)"], "add -m"),
    "a part that is null": (["--cfg", "job", "-p", "init_from"], "-p init_from, which is null"),
    "swept launcher": (["-m", "hydra.launcher.slots=1,2"], "hydra.launcher.slots"),
    "unreadable range": (["-m", "seed=range(0"], "KEY=VALUE"),
    "interval instead of values": (["-m", "seed=interval(0,1)"], "seed"),
    "sweep name with a slash": (["-m", "sweep.name=a/b"], "sweep.name"),
    "time limit within the warning": (["-m", "hydra/launcher=slurm", "hydra.launcher.timeout_min=2"], "timeout_min"),
    "no memory": (["-m", "hydra/launcher=slurm", "hydra.launcher.mem_gb=0"], "mem_gb"),
    "negative GPUs": (["-m", "hydra/launcher=slurm", "hydra.launcher.gpus_per_node=-1"], "gpus_per_node"),
    "GPU type without GPUs": (["-m", "hydra/launcher=slurm", "hydra.launcher.gpus_per_node=0",
                               "hydra.launcher.gpu_type=a100"], "gpus_per_node"),
    "word for a switch": (["-m", "hydra/launcher=slurm", "hydra.launcher.wait=maybe"], "hydra.launcher.wait"),
    "no such tracking": (["-m", "tracking.uri=ftp://lab"], "tracking.uri"),
    "folder of files as a store": (["tracking.uri=mlruns"], "tracking.uri"),
    "cluster without a sweep": (["hydra/launcher=slurm"], "add -m"),
    "dry run without its group": (["-m", "dry_run=true"], "which the config does not have; expected sweep.dry_run"),
    "dry run without a sweep": (["sweep.dry_run=true"], "add -m"),
    "name of the jobs": (["-m", "hydra/launcher=slurm", "hydra.launcher.sbatch={job_name: mine}"], "job_name"),
    "array in an array": (["-m", "hydra/launcher=slurm", "hydra.launcher.sbatch.array=0-5"], "sbatch.array"),
    "time limit as an option of sbatch": (["-m", "hydra/launcher=slurm", "hydra.launcher.sbatch.time=60"],
                                          "hydra.launcher.timeout_min"),
    "sweep file without a sweep": (["+sweep=seeds"], "add -m"),
    "several values without a sweep": (["algo=ppo,apa"], "add -m"),
    "sweep file without the plus": (["-m", "sweep=heuristics"], "+sweep"),
    "misspelt preset": (["experiment=theory/time_seperation"], "theory/time_separation"),
    "last part of a key": (["lr=1e-5"], "optimizer.lr"),
    "last part of a key in another group": (["algo.lr=1e-5"], "data.lr or optimizer.lr"),
    "a word of a key, and an option": (["entropy=0.1"], "algo.loss.entropy or heuristic=entropy"),
    "words of several keys": (
        ["gpu_mem=40"],
        "resources.gpu_type or resources.gpus_per_node or resources.mem_gb or runtime.memory_check",
    ),
    "device of another library": (["runtime.device=gpu"], "cuda:N"),
    "no CPU": (["resources.cpus_per_task=0"], "resources.cpus_per_task"),
    "unknown resource": (["resources.gpus=1"], "resources.gpus"),
    "values that no preset sets": (["algo=pretrain", "data=narrativeqa"], "algo.loop.steps, optimizer.lr with"),
    "algorithm for text on labels": (["data=mnist", "algo=ppo"], "expected_reinforce"),
    "algorithm for labels on text": (["algo=expected_reinforce"], "expected apa, awr, diagnose"),
    "training where there is nothing to train": (["data=one_token", "algo=sft"], "time_separation"),
    "classifier for text": (["model=mlp"], "a seq2seq or causal model: "),
    "language model for labels": (["data=mnist", "algo=sft", "model=t5_mini"], "bert_mini, mlp or resnet18"),
    "network of images for pairs": (["data=stsb", "algo=sft", "model=mlp"], "a model that reads pairs"),
    "network of pairs for images": (["data=cifar10", "algo=sft", "model=bert_mini"], "a model that reads images"),
    "every label in the pretraining set": (["data=mnist", "algo=sft", "data.labels_per_input=10"],
                                           "data.labels_per_input"),
    "share of modified inputs above one": (["data=mnist", "algo=sft", "data.modified_share=1.5"],
                                           "data.modified_share"),
    "fewer inputs than labels": (["data=mnist", "algo=pretrain", "data.loader.n_train=5"], "data.loader.n_train"),
    "misspelt key of a network": (["data=mnist", "algo=sft", "model.network.hiden=[3]"], "model.network.hidden"),
    "heads that do not divide": (["data=stsb", "algo=sft", "model.network.heads=3"], "model.network.heads"),
    "no epochs": (["data=mnist", "algo=sft", "algo.loop.epochs=0"], "algo.loop.epochs"),
    "SFT before RFT on labels": (["data=mnist", "algo=sft", "heuristic=partial_sft"], "heuristic"),
    "no learning rate to train with": (["optimizer.lr=null"], "optimizer.lr"),
    "diagnosis from one sample": (["algo=diagnose", "algo.loop.samples_per_prompt=1"],
                                  "algo.loop.samples_per_prompt"),
    "diagnosis without a reward": (["algo=diagnose", "data=corpus_spans"], "data"),
    "gradients without an error": (["algo=diagnose", "algo.loop.bound_samples=1"], "algo.loop.bound_samples"),
    "Jacobians without an iteration": (["algo=diagnose", "algo.loop.power_iterations=0"], "algo.loop.power_iterations"),
    "rewards of no range": (["algo=diagnose", "algo.loop.reward_low=1", "algo.loop.reward_high=1"], "reward_low"),
    "half a range of rewards": (["algo=diagnose", "algo.loop.reward_low=null"], "reward_low=null, reward_high=1"),
    "bounds of a reward without a range": (["algo=diagnose", "algo.loop.reward_low=null", "algo.loop.reward_high=null",
                                            "algo.loop.bound_prompts=3"], "bound_prompts=0"),
    "two points for a slope": (["experiment=theory/time_separation", "algo.loop.points=2"], "algo.loop.points"),
    "no cases": (["experiment=theory/ppo_gradient", "algo.loop.cases=0"], "algo.loop.cases"),
    "no distance": (["experiment=theory/ppo_gradient", "algo.loop.tv_low=0"], "algo.loop.tv_low"),
    "distances of no range": (["experiment=theory/ppo_gradient", "algo.loop.tv_low=0.95"], "algo.loop.tv_low"),
    "policies of one label": (["experiment=theory/gradient_bound", "algo.loop.n_labels=[1,5]"], "algo.loop.n_labels"),
    "a working directory that moves": (["hydra.job.chdir=true"], "hydra.job.chdir"),
    "a working directory that moves, of a sweep": (["-m", "hydra.job.chdir=true"], "hydra.job.chdir"),
    "a pattern that matches no option": (["-m", "algo=glob(q*)"], "matches nothing; expected some of apa"),
    "a pattern for a number": (["-m", "seed=glob(x*)"], "seed=glob(x*), which matches nothing"),
    "an empty range": (["-m", "seed=range(0,0)"], "matches nothing"),
    "a range of a billion": (["-m", "seed=range(0,1e9)"], "more than 100000 jobs"),
    "a product of a million": (["-m", "seed=range(0,1000)", "eval.every=range(1,1001)"], "more than 100000 jobs"),
    "slots for a single run": (["hydra.launcher.slots=2"], "add -m"),
    "a mistake behind the flag": (["algo=ppo", "-m", "seed=1,a"], "seed=a; expected an integer"),
    "a dry run of a launcher that knows none": (["-m", "hydra/launcher=basic", "sweep.dry_run=true"], "local or slurm"),
    "no value for sbatch": (["-m", "hydra/launcher=slurm", "hydra.launcher.sbatch.exclude=null"], "sbatch.exclude"),
    "no for an option of sbatch": (["-m", "hydra/launcher=slurm", "hydra.launcher.sbatch.requeued=false"],
                                   "true for an option without a value"),
    "a sweep on the database": (["-m", "sweep.name=mlflow.db"], "sweep.name=mlflow.db"),
    "keys for an axis": (["-m", "hydra.sweeper.params={foo: 1}"], "axes as KEY=1,2"),
    "search of nothing": ([*SEARCH, "algo=ppo"], "no key may have another value"),
    "search without an interval's syntax": ([*SEARCH, "optimizer.lr=interval(1e-4)"], "optimizer.lr"),
    "unknown sampler": ([*SEARCH, LR, "hydra/sweeper/sampler=gp"], "hydra/sweeper/sampler=gp, which is no option; "
                        "expected random, tpe"),
    "unknown pruner": ([*SEARCH, LR, "hydra/sweeper/pruner=median"], "expected hyperband, none"),
    "setting of a sampler out of range": ([*SEARCH, LR, "hydra.sweeper.sampler.n_startup_trials=few"],
                                          "hydra.sweeper.sampler.n_startup_trials=few; expected an integer"),
    "factor of nothing": ([*SEARCH, LR, HYPERBAND, "hydra.sweeper.pruner.reduction_factor=1", "eval.probe_every=1"],
                          "hydra.sweeper.pruner"),
    "interval on what is no number": ([*SEARCH, "data.prompt.truncation_side=interval(0,1)"], "truncation_side"),
    "interval on a switch": ([*SEARCH, "eval.kl_to_start=interval(0,1)"], "eval.kl_to_start"),
    "interval beyond the range of a key": ([*SEARCH, "optimizer.lr=interval(0,1)"], "optimizer.lr=0.0"),
    "one wrong option of a choice": ([*SEARCH, "algo=choice(ppo,apax)"], "algo=apax"),
    "pruning without looks": ([*SEARCH, LR, HYPERBAND, "eval.probe_every=null"], "eval.probe_every=null"),
    "pruning before the first look": ([*SEARCH, LR, HYPERBAND, "eval.probe_every=20", "algo.loop.iterations=20"],
                                      "first look after 20 of 20 steps"),
    "pruning of what nobody scores": ([*SEARCH, LR, HYPERBAND, "algo=sft", "reward=none", "eval.probe_every=1"],
                                      "nobody scores"),
    "pruning of runs of two lengths": ([*SEARCH, "algo.loop.iterations=choice(5,10)", HYPERBAND, "eval.probe_every=1"],
                                       "trials that are not alike"),
    "grid in a search": ([*SEARCH, LR, "algo=ppo,apa"], "algo=ppo,apa, a grid in a search"),
    "file of a grid in a search": ([*SEARCH, LR, "+sweep=heuristics"], "hydra.sweeper.grids with a search"),
    "interval in a grid": (["-m", LR], "or hydra/sweeper=optuna"),
    "search of a single run": (["hydra/sweeper=optuna"], "hydra/sweeper=optuna for a single run"),
    "no trials": ([*SEARCH, LR, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0"),
    "word for a number of trials": ([*SEARCH, LR, "hydra.sweeper.n_trials=many"], "hydra.sweeper.n_trials=many"),
    "no direction": ([*SEARCH, LR, "hydra.sweeper.direction=up"], "maximize or minimize"),
    "misspelt key of a search": ([*SEARCH, LR, "hydra.sweeper.n_trial=3"], "expected hydra.sweeper.n_trials"),
    "seeds between two": ([*SEARCH, LR, "seed=interval(0,3)"], "seed=interval(0,3)"),
    "search that does not wait": ([*SEARCH, LR, "hydra/launcher=slurm", "hydra.launcher.wait=false"],
                                  "hydra.launcher.wait=false with a search"),
    "search with a launcher of Hydra's own": ([*SEARCH, LR, "hydra/launcher=basic"], "local or slurm"),
    "start that leads already": (["experiment=theory/time_separation", "algo.loop.std_high=0.9"], "std_high"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_nothing_starts(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, named = CASES[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments, f"paths.outputs={tmp_path / 'out'}", "tracking=none"])
    with pytest.raises(SystemExit) as stop:
        train.main()
    lines = capfd.readouterr().err.strip().splitlines()
    assert stop.value.code == 2
    assert len(lines) == 1, lines
    assert named in lines[0]
    assert "; expected " in lines[0] and "; change " in lines[0]
    for trace in ("metrics.jsonl", "DONE", "launch.json", "config.yaml"):
        assert not list(tmp_path.rglob(trace)), trace
    assert not any(path.is_file() for path in tmp_path.iterdir())  # nor anything beside the outputs


def sweep_of(axes: str) -> bytes:
    return f"# @package _global_\nhydra: {{sweeper: {{{axes}}}}}\n".encode()


FILES = {  # files of a folder that --config-dir names, and a word of the refusal
    "an axis that is a list": ("sweep", sweep_of("params: {seed: [0, 1]}"), "seed=[0, 1]; expected an integer"),
    "an axis of keys": ("sweep", sweep_of("params: {seed: {a: 1}}"), "expected an integer"),
    "an axis without end": ("sweep", sweep_of("params: {seed: 'range(0,2,0)'}"), "which never ends"),
    "an axis of a parent": ("sweep", sweep_of("params: {parent.algo: sft}"), "a parent by hand"),
    "a number for axes": ("sweep", sweep_of("params: 3"), "sweep/mine.yaml: hydra.sweeper.params"),
    "words for grids": ("sweep", sweep_of("grids: [a]"), "sweep/mine.yaml"),
    "Latin letters": ("data", "name: déjà\n".encode("latin-1"), "bytes that are not UTF-8"),
    "two bytes a letter": ("data", "name: x\n".encode("utf-16"), "bytes that are not UTF-8"),
    "a byte of nothing": ("data", b"name: x\0\n", "a character that no text of YAML has"),
    "a word for defaults": ("data", b"defaults: kind\n", "data/mine.yaml: defaults that cannot be read"),
    "a number in defaults": ("data", b"defaults: [1]\n", "data/mine.yaml: defaults that cannot be read"),
    "two groups in a line": ("data", b"defaults: [{a: b, c: d}]\n", "data/mine.yaml: defaults that cannot be read"),
    "a package without a name": ("data", b"# @package\nname: x\n", "data/mine.yaml: a line # @package"),
    "defaults that name the file": ("data", b"defaults: [mine]\nname: x\n", "lead back to the file itself"),
    "a preset on top of itself": ("experiment", b"defaults: [mine]\nname: x\n", "lead back to the file itself"),
    "defaults of no file": ("data", b"defaults: [nothing]\nname: x\n", "data/nothing in its defaults"),
    "a list in itself": ("data", b"name: &a [*a]\n", "something that contains itself"),
    "brackets without end": ("data", b"name: " + b"[" * 2000, "something that contains itself, or is too deep"),
    "a reference that stays open": ("data", b"name: ${foo\n", "data/mine.yaml: a value that cannot be read"),
    "an empty file": ("data", b"", "data/mine.yaml: no kind of data"),
    "a list": ("data", b"- 1\n", "data/mine.yaml: no kind of data"),
    "a word": ("data", b"text\n", "data/mine.yaml: no kind of data"),
    "a number": ("data", b"3\n", "data/mine.yaml: no keys and values"),
    "no defaults": ("data", b"name: x\n", "data/mine.yaml: no kind of data"),
    "no default model": ("data", b"defaults: [kind: text, _self_]\n", "data=mine has no default one"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_of_a_folder_of_ones_own_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    group, content, named = FILES[case]
    (tmp_path / "own" / group).mkdir(parents=True)
    (tmp_path / "own" / group / "mine.yaml").write_bytes(content)
    word = "+sweep=mine" if group == "sweep" else f"{group}=mine"
    words = [word, "--config-dir", "own", "-m", "sweep.dry_run=true", "tracking=none", "paths.outputs=out"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    with pytest.raises(SystemExit) as stop:
        train.main()
    assert stop.value.code == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert named in line and line.startswith("error: ") and "; expected " in line and "; change " in line


@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_outputs_that_cannot_be_made_are_one_line(
    sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    outputs = tmp_path / "file" / "out"
    monkeypatch.setattr(sys, "argv", ["train.py", *sweep, f"paths.outputs={outputs}", "tracking=none"])
    with pytest.raises(SystemExit) as stop:
        train.main()
    assert stop.value.code == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert str(outputs) in line and "paths.outputs" in line


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command", ["train.py --help", "diagnose.py --help", "reward.py --help", "sweep.py --help", "sweep.py status"]
)
def test_a_reader_that_has_seen_enough_is_no_error(command: str, unbuffered: str, tmp_path: Path) -> None:
    """As `| head` does; the reader is gone before the first line."""
    (tmp_path / "outputs").mkdir()
    script, *arguments = command.split()
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[2] / "src" / script, *arguments],
        stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, env=environment, text=True,
    )  # fmt: skip
    os.close(writer)
    assert not done.stderr and done.returncode == 0


@pytest.mark.parametrize("script", ["train.py", "diagnose.py", "reward.py", "sweep.py"])
def test_a_python_without_the_environment_is_told_in_one_line(script: str) -> None:
    path = Path(__file__).parents[2] / "src" / script
    done = subprocess.run([sys.executable, "-S", path, "--help"], capture_output=True, text=True)  # -S: no packages
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert "; expected " in line and "; change " in line and "make setup" in line
