"""Time a local sweep of 16 tiny runs against the sum of their own times: `python bench/local_sweep.py`.

The bar: total time at most 1.25 times the sum of the runs' times divided by the slots, and at most a second from the
start of a job to its first work (data, models and optimiser are there; the evaluation before the first step begins). A
run's time is what its folder records, from claiming it to its end.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "algo.loop.prompts_per_iteration=8", "algo.loop.samples_per_prompt=2", "algo.loop.minibatch_size=8",
    "algo.loop.microbatch_size=8", "eval.n_train=4", "eval.n_validation=4", "eval.n_test=4", "eval.probe_prompts=8",
    "data.loader.n_train=32", "data.loader.n_validation=4", "data.loader.n_test=4",
]  # fmt: skip


def main(iterations: int) -> None:
    """Run the sweep in an empty folder and print its figures."""
    with tempfile.TemporaryDirectory() as outputs:
        command = [
            sys.executable, "src/train.py", "-m", *TINY, f"algo.loop.iterations={iterations}", "data=narrativeqa",
            "seed=range(0,16)", f"paths.outputs={outputs}",
        ]  # fmt: skip
        started = time.time()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        total = time.time() - started
        runs = sorted(Path(outputs, "default").glob("*/DONE"))
        times = [_times(done.parent) for done in runs]
    slots = 2
    ideal = sum(run["seconds"] for run in times) / slots
    print(f"runs {len(times)}, median {median(run['seconds'] for run in times):.2f} s each, {slots} slots")
    print(f"total {total:.1f} s, sum of the runs / slots {ideal:.1f} s, ratio {total / ideal:.2f}")
    print(f"start of the sweep to the first job {min(run['begun'] for run in times) - started:.2f} s")
    for name in ("claim", "work", "first_step"):
        print(f"start of a job to its {name}: median {median(run[name] for run in times):.2f} s, "
              f"largest {max(run[name] for run in times):.2f} s")  # fmt: skip


def _times(folder: Path) -> dict[str, float]:
    status = json.loads((folder / "status.json").read_text())
    begun = (folder / "config.yaml").stat().st_mtime  # written right before the process starts
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    first = next(line["time"] for line in lines if line["step"] > 0)
    return {
        "begun": begun,
        "seconds": status["ended"] - status["started"],
        "claim": status["started"] - begun,
        "work": status["started"] + status["setup_s"] - begun,
        "first_step": first - begun,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
