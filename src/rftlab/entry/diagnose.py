"""`python src/diagnose.py`: a run of `algo=diagnose` under shorter names, then its report."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rftlab import runs
from rftlab.entry import cli
from rftlab.errors import UserError
from rftlab.sweeps.job import Job

SHORT = {"n_prompts": "algo.loop.n_prompts", "samples": "algo.loop.samples_per_prompt"}
SWEEP = "preflight"
HELP = """rftlab diagnose: will reinforcement finetuning work here? Look before you train.

Samples answers to train prompts under the policy, and reports reward mean and std per prompt: how many have a vanishing
expected gradient, how sure that is, and what to do (terminal, HTML, PNG, CSV; the run folder has every sample).

Usage
  python src/diagnose.py model=t5_mini data=narrativeqa [n_prompts=500 samples=10]
  python src/diagnose.py data=imdb data.source=hub paths.hub_mirror=DIR      real rows
  python src/diagnose.py data=narrativeqa init_from=RUN_KEY                  the policy that a finished run ended with
  python src/diagnose.py data=narrativeqa heuristic=partial_sft              after a little SFT, which is run first
  python src/diagnose.py -m data=narrativeqa,imdb                            several, then the reports of the sweep

Keys
  n_prompts=N  samples=N       prompts, and responses to each (500, 10)
  algo.loop.bound_prompts=N    prompts whose gradient and its bounds are measured (6; 0 = none)
  algo.loop.reward_low=0  algo.loop.reward_high=1    interval of the reward, for the bounds
  data.rollout.*  eval.std_below  seed  sweep.name  paths.figures            as for src/train.py (--help there)
"""

Report = Callable[[Sequence[Path], Path], None]


def main(report: Report) -> None:
    """Sample as the command line says, then hand the run folders and the folder of figures to `report`."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(HELP, end="")
        return
    if any(argument.startswith("algo=") for argument in arguments):
        refused = UserError("algo=...", "no algorithm, as nothing is trained here", "algo, or use src/train.py")
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(cli.BAD_INPUT)
    sys.argv[1:] = [*map(_long, arguments), "algo=diagnose"]
    if not any(argument.startswith("sweep.name=") for argument in arguments):
        sys.argv.append(f"sweep.name={SWEEP}")
    finished: list[Job] = []
    cli.main(finished.append)
    if finished:
        report([job.folder for job in finished], Path(finished[0].config["paths"]["figures"]))
    elif {"-m", "--multirun"} & set(arguments) and (folders := _of_sweep(sys.argv)):
        report(folders, Path(_value(sys.argv, "paths.figures", "figures")))


def _of_sweep(arguments: Sequence[str]) -> list[Path]:
    """Find the finished diagnoses of the sweep that the command line names; its jobs ran in processes of their own."""
    outputs = Path(_value(arguments, "paths.outputs", "outputs"))
    records = runs.find_runs(outputs, _value(arguments, "sweep.name", SWEEP))
    return [record.folder for record in records if record.done and record.config["algo"]["name"] == "diagnose"]


def _value(arguments: Sequence[str], key: str, default: str) -> str:
    given = [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{key}=")]
    return given[-1] if given else default


def _long(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"{SHORT.get(name, name)}{equals}{value}"
