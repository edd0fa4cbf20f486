"""How every figure looks: sizes, colours, dashes, markers and words."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import seaborn as sns

WIDTH = 7.2  # inches; two columns of a printed page
TEXT_SIZE = 8.5  # points; nothing in a figure is set smaller than 8
CAPTION_SIZE = 8.0

Colour = tuple[float, float, float]
Dash = tuple[float, ...] | str  # an empty string is a solid line

DASHES: list[Dash] = ["", (4, 1.5), (1, 1.2), (5, 1.5, 1, 1.5), (3, 1, 1, 1, 1, 1)]
PHASES = ["before", "after"]
PHASE_MARKERS = {"before": "o", "after": "X"}
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
NAMES = {
    **{"ppo": "PPO", "apa": "APA", "sft": "SFT", "awr": "AWR", "nlpo": "NLPO", "ilql": "ILQL"},
    **{"expected_reinforce": "RFT, expected reward", "reinforce": "RFT, sampled (REINFORCE)"},
}
ONLINE = ("ppo", "apa", "nlpo")  # of these, `alone` sets plain finetuning apart
DATASETS = {
    "narrativeqa": "NarrativeQA", "imdb": "IMDB", "totto": "ToTTo", "commongen": "CommonGen", "iwslt2017": "IWSLT2017",
    "cnn_dm": "CNN/DM", "dailydialog": "DailyDialog", "mnist": "MNIST", "cifar10": "CIFAR-10", "stsb": "STS-B",
}  # fmt: skip
GROUPS = {"small_std": "small pretrain reward std", "large_std": "large pretrain reward std"}
LABELS = {
    "reward/mean": "mean reward of the rollouts",
    "policy/kl": "KL to the start (nats per response)",
    "reward": "reward",
    "reward_std": "reward std",
    "grad_norm": "gradient norm",
}


@contextmanager
def print_style() -> Generator[None]:
    """Draw in the style of a printed page inside this block, and leave matplotlib's settings as they were."""
    sizes = ["font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"]
    settings = dict.fromkeys([*sizes, "figure.titlesize"], TEXT_SIZE)
    fixed = {"pdf.fonttype": 42, "savefig.dpi": 200, "axes.linewidth": 0.8, "legend.frameon": False}
    with mpl.rc_context(sns.axes_style("ticks") | settings | fixed):
        yield


@dataclass(frozen=True)
class Looks:
    """What colours, dashes and markers stand for in one figure."""

    palette: dict[str, Colour]  # by hue
    dashes: dict[str, Dash]  # by heuristic
    markers: dict[str, str]  # by heuristic


def looks(hues: list[str], heuristics: list[str]) -> Looks:
    """Give each hue a colour and each heuristic a dash and a marker."""
    order = heuristic_order(heuristics)
    dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(order)}
    markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(order)}
    return Looks(colours(hues), dashes, markers)


def colours(hues: list[str]) -> dict[str, Colour]:
    """Take colours from the colour-blind palette; PPO, APA, SFT and REINFORCE keep theirs."""
    palette = sns.color_palette("colorblind")
    fixed: dict[str, Colour] = {"ppo": palette[0], "apa": palette[1], "sft": palette[2]}
    fixed |= {"expected_reinforce": palette[0], "reinforce": palette[4]}  # in figures without PPO and APA
    others = [hue for hue in sorted(set(hues)) if hue not in fixed]
    free = [3, 4, 9, 5, 6, 7, 8] if set(hues) & set(fixed) else range(10)
    return fixed | {hue: palette[free[i % len(free)]] for i, hue in enumerate(others)}


def phase_palette() -> dict[str, Colour]:
    """Colour the two phases of the scatter."""
    palette = sns.color_palette("colorblind")
    return {"before": palette[0], "after": palette[3]}


def heuristic_order(heuristics: list[str]) -> list[str]:
    """Put plain finetuning first, then the rest by name."""
    return sorted(set(heuristics), key=lambda name: (name != "none", name))


def algo_order(algos: list[str]) -> list[str]:
    """Put PPO and APA first, then the rest by name."""
    known = list(NAMES)
    return sorted(set(algos), key=lambda name: (known.index(name) if name in known else len(known), name))


def cell_label(algo: str, heuristic: str, variant: str) -> str:
    """Name a cell in words: `PPO, partial SFT`, with what else sets it apart."""
    plain = heuristic == "none" and algo not in ONLINE
    words = [] if plain else [heuristic_label(heuristic)]
    return ", ".join([NAMES.get(algo, algo), *words, *map(short_override, variant.split())])


def heuristic_label(heuristic: str) -> str:
    """Name a heuristic in words."""
    return {"none": "alone", "partial_sft": "after partial SFT"}.get(heuristic, heuristic.replace("_", " "))


def short_override(override: str) -> str:
    """Shorten `algo.kl.coef=0.1` to `coef=0.1`."""
    key, _, value = override.partition("=")
    return f"{key.rsplit('.', 1)[-1]}={value}"


def panel_title(scale: str, source: str, data: str, model: str) -> str:
    """Say which data, model, scale and source a figure shows, so that a mini result never poses as the paper's."""
    return f"{DATASETS.get(data, data)}  ·  model {model}  ·  {kind_title(scale, source)}"


def kind_title(scale: str, source: str) -> str:
    """Say which scale and source a figure of several datasets shows."""
    return f"scale {scale}  ·  {source} data"
