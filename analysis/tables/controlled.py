"""Where the controlled runs ended: reward of both groups, their std at start and end, accuracies, n, run keys."""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.table import Table, kind_name, number, over_seeds
from analysis.missing.wanted import CONTROLLED
from analysis.statistics import controlled, stats
from analysis.statistics.controlled import reward_variant
from analysis.statistics.frames import Frames

METRICS = controlled.ENDS
WANTED = CONTROLLED


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source."""
    return map(laid_out, stats.parts(controlled.final_table(frames.metrics), stats.KIND))


def laid_out(ends: pd.DataFrame) -> Table:
    """Lay out where the controlled runs ended: a row per cell; of one scale and source."""
    by = ["data", "model", "optimizer", "wrong_reward", "algo", "variant"]
    ranked = ends.sort_values(by)
    caption = (
        "Controlled experiments: mean over n seeds, in brackets their minimum and maximum; small and large: the inputs "
        "with a small and with a large reward std before finetuning; std: before the first update and at the end."
    )
    if bad := int(ends["n_nonfinite"].sum()):
        caption += f" {bad} values of seeds are NaN or infinite and enter no mean."
    cells = pd.DataFrame(map(_controlled, ranked.to_dict("records")))
    return Table(kind_name("table_controlled", ends), caption, cells, ends["run_keys"])


def _controlled(row: dict) -> dict[str, str]:
    """Write one row of the controlled runs."""

    def end(metric: str) -> str:
        return over_seeds(*(row[f"{metric}/{value}"] for value in ("end", "end_min", "end_max")), n=row["n"])

    def change(metric: str) -> str:
        return f"{number(row[f'{metric}/start'], '.3g')} → {number(row[f'{metric}/end'], '.3g')}"

    algo = layout.setting_label(row["algo"], row["variant"], controlled.NAMES)
    return {
        "data": style.name(row["data"]),
        "model": row["model"],
        "optimizer": row["optimizer"],
        "rewards": reward_variant(row["wrong_reward"]).replace("_", " "),
        "algorithm": algo,
        "reward, small": end("eval/small_std/reward"),
        "reward, large": end("eval/large_std/reward"),
        "std, small": change("eval/small_std/reward_std"),
        "std, large": change("eval/large_std/reward_std"),
        "train accuracy": end("eval/train/accuracy"),
        "test accuracy": end("eval/test/accuracy"),
        "n": str(row["n"]),
        "runs": row["run_keys"],
    }
