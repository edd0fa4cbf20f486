"""Time a local sweep of 16 tiny runs against their times: `python bench/local_sweep.py [ITERATIONS] [OVERRIDE ...]`.

The bars: from the first claim to the last end at most 1.12 times the sum of the times of the runs divided by the slots,
and at most 2.5 seconds from the command to its first job. Both are wall time, so they need a quiet machine. What counts
as training is told three ways, from what the run folders record: `run`, from the claim of the folder to its end;
`loop`, the same without loading data and models; `iterations` alone, without the evaluations and looks at the reward
statistics before and after them, and without the final weights.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sides import ROOT, Bar, judged, report

SLOTS = 2
TINY = [
    "algo.loop.prompts_per_iteration=8", "algo.loop.samples_per_prompt=2", "algo.loop.minibatch_size=8",
    "algo.loop.microbatch_size=8", "eval.n_train=4", "eval.n_validation=4", "eval.n_test=4", "eval.probe_prompts=8",
    "data.loader.n_train=32", "data.loader.n_validation=4", "data.loader.n_test=4",
]  # fmt: skip


def main(iterations: int, *overrides: str) -> None:
    """Run the sweep in an empty folder and print its figures."""
    with tempfile.TemporaryDirectory() as outputs:
        command = [
            sys.executable, "src/train.py", "-m", *TINY, f"algo.loop.iterations={iterations}", "data=narrativeqa",
            "seed=range(0,16)", f"paths.outputs={outputs}", *overrides,
        ]  # fmt: skip
        started = time.time()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        total = time.time() - started
        runs = sorted(Path(outputs, "default").glob("*/DONE"))
        times = [_times(done.parent) for done in runs]
    print(f"{len(times)} runs in {SLOTS} slots, total {total:.1f} s")
    for name in ("run", "loop", "iterations"):
        each = [run[name] for run in times]
        print(f"{name:10}  median {median(each):.2f} s each, ratio {total / (sum(each) / SLOTS):.2f}")
    print(f"start of the sweep to the first job {min(run['begun'] for run in times) - started:.2f} s, "
          f"to its claim {min(run['begun'] + run['claim'] for run in times) - started:.2f} s, "
          f"end of the last job to the end {started + total - max(run['ended'] for run in times):.2f} s")  # fmt: skip
    for name in ("claim", "work", "first iteration"):
        print(f"start of a job to its {name}: median {median(run[name] for run in times):.2f} s, "
              f"largest {max(run[name] for run in times):.2f} s")  # fmt: skip
    first = min(run["begun"] for run in times)
    claimed = min(run["begun"] + run["claim"] for run in times)
    ideal = sum(run["run"] for run in times) / SLOTS
    figures = {"ratio": (max(run["ended"] for run in times) - claimed) / ideal, "wait": first - started}
    report("local_sweep", [
        judged("local sweep of 16 runs, claim to end, over the ideal", Bar("most", 1.12, "ratio"), {"now": [figures]}),
        judged("local sweep, the first job's wait in seconds", Bar("most", 2.5, "wait"), {"now": [figures]}),
    ])  # fmt: skip


def _times(folder: Path) -> dict[str, float]:
    status = json.loads((folder / "status.json").read_text())
    begun = (folder / "config.yaml").stat().st_mtime  # written right before the process starts
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    iterations = [line for line in lines if "time/iteration_s" in line["metrics"]]
    run = status["ended"] - status["started"]
    return {
        "begun": begun,
        "ended": status["ended"],
        "run": run,
        "loop": run - status["setup_s"],
        "iterations": sum(line["metrics"]["time/iteration_s"] for line in iterations),
        "claim": status["started"] - begun,
        "work": status["started"] + status["setup_s"] - begun,
        "first iteration": iterations[0]["time"] - iterations[0]["metrics"]["time/iteration_s"] - begun,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, *sys.argv[2:])
