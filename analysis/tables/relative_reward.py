"""Numbers of Figure 2: percentiles of the pretrain std, rewards of RFT and SFT, ratio, difference, n."""

from collections.abc import Iterator

import pandas as pd

from analysis.drawing import layout, style
from analysis.drawing.table import Table, kind_name, number
from analysis.missing.wanted import LANGUAGE
from analysis.statistics import stats, vanishing
from analysis.statistics.frames import Frames

WANTED = LANGUAGE


def draw(frames: Frames) -> Iterator[Table]:
    """Lay out each scale and source."""
    return map(laid_out, stats.parts(frames.once(vanishing.rft_beside_sft), stats.KIND))


def laid_out(points: pd.DataFrame) -> Table:
    """Lay out the numbers of Figure 2: a row per dataset, model and RFT setting; of one scale and source."""
    keys = ["data", "model", "algo", "variant", "sft_variant"]
    rows = []
    for _, group in points.sort_values([*keys, "percentile"]).groupby(keys, sort=False):
        row = group.iloc[0]
        algo = layout.setting_label(row["algo"], row["variant"])
        sft = " ".join(map(style.override_in_words, row["sft_variant"].split()))
        rows.append(
            {
                "data": style.name(row["data"]),
                "model": row["model"],
                "RFT": algo,
                "SFT": sft or "full",
            }
            | {f"std, {each['percentile']} %": number(each["std"]) for each in group.to_dict("records")}
            | {"RFT reward": number(row["rft"]), "SFT reward": number(row["sft"]), "ratio": number(row["ratio"])}
            | {"difference": number(row["difference"], "+.3f"), "n RFT": str(row["n_rft"]), "n SFT": str(row["n_sft"])}
        )
    caption = (
        "Percentiles of the pretrain reward std over train prompts, and the final train reward of RFT beside SFT, "
        "the mean score of sampled responses."
    )
    return Table(kind_name("table_relative_reward", points), caption, pd.DataFrame(rows), points["run_keys"])
