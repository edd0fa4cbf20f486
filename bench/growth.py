"""Measure how cost grows, and draw it: `python bench/growth.py [AXIS ...] [--image docs/images/growth.png]`.

Axes: `runs` in a folder of outputs (status, load_runs), `steps` of one run (reading its metrics), `responses` and
`length` of an iteration of PPO on bundled IMDB, `model` and `vocabulary` of an update of PPO on 8 responses of 64 + 48
tokens (GPT-2 types with random weights, float32). Points are medians of three, in CPU seconds of one thread; they go to
`outputs/bench/growth/AXIS.json`, and what was measured before is drawn beside them. A cost that is linear has a line of
slope 1.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from sides import ROOT, WHERE

Points = list[dict[str, float | str]]
REPEATS = 3
AXES = {
    "runs": [10, 50, 250, 1000, 2000],
    "steps": [100, 1000, 10_000],
    "responses": [16, 32, 64, 128],
    "length": [8, 16, 32, 64],
    "model": [0.8, 4.7, 25, 85],
    "vocabulary": [1024, 8192, 50_257],
}
LABELS = {
    "runs": "finished runs", "steps": "steps of one run", "responses": "responses", "length": "response tokens",
    "model": "million parameters in blocks", "vocabulary": "vocabulary",
}  # fmt: skip
BLOCKS = {0.8: (4, 128), 4.7: (6, 256), 25: (8, 512), 85: (12, 768)}  # million parameters -> layers, width


def timed(work: Callable[[], object]) -> float:
    """Give the median CPU seconds of a few repetitions, after one that does not count."""
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return median(seconds[1:])


def runs(count: int) -> Iterator[tuple[str, float]]:
    """Read so many finished runs."""
    from run_folders import fill

    from analysis.load import load_runs
    from rftlab.sweeps.slurm.ledger import PREFIX
    from rftlab.sweeps.status import read_queue, statuses

    with tempfile.TemporaryDirectory() as outputs:
        fill(Path(outputs), count)
        yield "status", timed(lambda: statuses(Path(outputs), None, read_queue(Path(outputs), PREFIX)))
        yield "load_runs", timed(lambda: load_runs(Path(outputs)))


def steps(count: int) -> Iterator[tuple[str, float]]:
    """Read one metric of a run of so many steps, and all of them."""
    from run_folders import fill

    from analysis.load import load_metrics

    with tempfile.TemporaryDirectory() as outputs:
        fill(Path(outputs), 1)
        (path,) = Path(outputs).glob("*/*/metrics.jsonl")
        line = json.loads(path.read_text().splitlines()[0])
        path.write_text("".join(json.dumps(line | {"step": step}) + "\n" for step in range(count)))
        yield "load_metrics", timed(lambda: load_metrics(Path(outputs)))
        yield "load_metrics, one metric", timed(lambda: load_metrics(Path(outputs), names=["policy/1"]))


def responses(count: int) -> Iterator[tuple[str, float]]:
    """Sample so many responses of 16 tokens, and learn from them."""
    yield (
        "iteration of PPO",
        iteration(f"algo.loop.prompts_per_iteration={count // 4}", "data.rollout.max_new_tokens=16"),
    )


def length(tokens: int) -> Iterator[tuple[str, float]]:
    """Sample 32 responses of at most so many tokens, and learn from them."""
    yield "iteration of PPO", iteration("algo.loop.prompts_per_iteration=8", f"data.rollout.max_new_tokens={tokens}")


def model(millions: float) -> Iterator[tuple[str, float]]:
    """Learn from eight responses with blocks of so many parameters and a vocabulary of 1,024."""
    yield "update of PPO", update(*BLOCKS[millions], vocabulary=1024)


def vocabulary(count: int) -> Iterator[tuple[str, float]]:
    """Learn from eight responses with the smallest blocks and so many tokens to choose from."""
    yield "update of PPO", update(*BLOCKS[0.8], vocabulary=count)


def update(layers: int, width: int, vocabulary: int) -> float:
    """Time columns and one update of PPO with a separate critic."""
    import large_update
    import torch

    torch.set_num_threads(1)
    work = large_update.update(layers, 2, 48, "separate", width=width, vocabulary=vocabulary)
    return timed(work)


def iteration(*overrides: str) -> float:
    """Time an iteration of PPO on bundled IMDB, four responses a prompt, in one minibatch."""
    from compute_dtype import Arm

    rows = 4 * int(overrides[0].partition("=")[2])
    words = [
        "data=imdb", "algo.loop.samples_per_prompt=4", f"algo.loop.minibatch_size={rows}", "tracking=none",
        f"algo.loop.microbatch_size={min(rows, 32)}", "data.rollout.min_new_tokens=0", "runtime.threads=1", *overrides,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        arm = Arm(words, "float32", Path(folder) / "run-000000000000")
        try:
            return timed(arm.run)
        finally:
            arm.lab.session.run.stop()


def measure(axis: str) -> Points:
    """Measure one axis, from its smallest point on."""
    points: Points = []
    for value in AXES[axis]:
        for work, seconds in globals()[axis](value):
            points.append({"axis": LABELS[axis], "value": value, "work": work, "CPU s": seconds})
            print(f"{LABELS[axis]} {value}: {work} {seconds:.3f} s", flush=True)
    return points


def draw(points: Points, image: Path) -> None:
    """Draw every axis with logarithmic scales."""
    import pandas as pd
    import seaborn as sns
    from matplotlib.ticker import LogLocator

    frame = pd.DataFrame(points)
    frame["axis"] = frame["axis"].astype(str)
    grid = sns.relplot(
        frame, x="value", y="CPU s", hue="work", style="work", col="axis", kind="line", markers=True, dashes=False,
        col_wrap=2, height=2.8, aspect=1.5, facet_kws={"sharex": False, "sharey": False},
    )  # fmt: skip
    grid.set(xscale="log", yscale="log").set_titles("{col_name}").set_axis_labels("", "CPU seconds")
    for name, axes in grid.axes_dict.items():
        measured = sorted(set(frame.loc[frame["axis"] == name, "value"]))
        axes.set_xticks(measured, [f"{value:,g}" for value in measured])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        axes.minorticks_off()
    image.parent.mkdir(parents=True, exist_ok=True)
    grid.savefig(image, dpi=110)
    print(image)


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for, and draw all that was measured."""
    parser = argparse.ArgumentParser(description="how cost grows")
    parser.add_argument("axes", nargs="*", default=[])
    parser.add_argument("--image", type=Path, default=ROOT / "outputs" / "bench" / "growth.png")
    asked = parser.parse_args(arguments)
    folder = WHERE / "growth"
    folder.mkdir(parents=True, exist_ok=True)
    for axis in asked.axes or ([] if any(folder.glob("*.json")) else list(AXES)):
        (folder / f"{axis}.json").write_text(json.dumps(measure(axis), indent=1) + "\n")
    draw([point for path in sorted(folder.glob("*.json")) for point in json.loads(path.read_text())], asked.image)


if __name__ == "__main__":
    main(sys.argv[1:])
