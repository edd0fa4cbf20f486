"""How every figure looks: sizes, colours, dashes, markers and words."""

import re
import zlib
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import seaborn as sns

from analysis.settings import AFTER_SFT
from rftlab.runs.naming import source_in_words

WIDTH = 7.2  # inches; two columns of a printed page
TEXT_SIZE = 8.5  # points; nothing in a figure is set smaller than 8
CAPTION_SIZE = 8.0

Colour = tuple[float, float, float]
Dash = tuple[float, ...] | str  # an empty string is a solid line

DASHES: list[Dash] = ["", (4, 1.5), (1, 1.2), (5, 1.5, 1, 1.5), (3, 1, 1, 1, 1, 1)]
SHARES = {"step_fraction": "steps", "sample_fraction": "prompts"}  # keys that say how much of an SFT is done
OF_KL = {"initial": "KL coefficient", "target": "KL target", "rate": "KL rate"}  # keys of algo.loss.kl
PHASES = ["before", "after"]
PHASE_MARKERS = {"before": "o", "after": "X"}
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
SPELLED = {  # optional: names that their authors write otherwise than `name` would
    "narrativeqa": "NarrativeQA", "totto": "ToTTo", "commongen": "CommonGen", "iwslt2017": "IWSLT2017",
    "cnn_dm": "CNN/DM", "dailydialog": "DailyDialog", "cnn_dailymail": "CNN/DailyMail", "daily_dialog": "DailyDialog",
    "fetaqa": "FeTaQA", "tldr": "TL;DR", "stack_exchange": "Stack Exchange", "cifar10": "CIFAR-10", "stsb": "STS-B",
    "reinforce": "REINFORCE", "offline_apa": "offline APA", "offline_awr": "offline AWR",
    "rejection": "rejection sampling", "reward_model": "reward model",
}  # fmt: skip
DRAWN = re.compile(r"-?\d+\.\d{7,}(e-?\d+)?")  # a number of more digits than anybody types
ACRONYM = 5  # a name of at most so many letters is one
# Colours of the palette that readers of earlier figures know; these algorithms also come first, in this order. Any
# other algorithm gets a colour by its name.
KEPT = {"ppo": 0, "apa": 1, "sft": 2, "expected_reinforce": 0, "reinforce": 4}
STRONG, PALE = (3, 4, 9, 5, 7), (6, 8)  # the rest of the palette; lines in a pale colour are hard to see
FREE = STRONG + PALE
GROUPS = {"small_std": "small pretrain reward std", "large_std": "large pretrain reward std"}
LABELS = {
    "reward/mean": "reward of the rollouts (sampled)",
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
    dashes: dict[str, Dash]  # by heuristic, or by hue
    markers: dict[str, str]  # the same
    by: str = "heuristic"  # hue: there are more of them than colours, and one heuristic


def looks(hues: list[str], heuristics: list[str]) -> Looks:
    """Give each hue a colour, and each heuristic a dash and a marker; each hue these where colours do not suffice."""
    palette, order, by = colours(hues), heuristic_order(heuristics), "heuristic"
    if len(order) == 1 and len(set(palette.values())) < len(palette):
        order, by = list(palette), "hue"
    dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(order)}
    markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(order)}
    return Looks(palette, dashes, markers, by)


def colours(hues: list[str]) -> dict[str, Colour]:
    """Give each hue a colour of the colour-blind palette.

    A hue is an algorithm, alone or with its setting. An algorithm alone has the same colour in every figure, unless
    another one in the figure has taken it; settings take what is left.
    """
    palette = sns.color_palette("colorblind")
    found = {hue: KEPT[hue] for hue in hues if hue in KEPT}
    for algo in sorted({hue for hue in hues if " " not in hue} - set(found)):
        first = zlib.crc32(algo.encode()) % len(STRONG)
        found[algo] = _first_free([*STRONG[first:], *STRONG[:first], *PALE], found.values())
    order = FREE if found else range(len(palette))
    free = [index for index in order if index not in found.values()] or list(order)
    settings = sorted(set(hues) - set(found))
    found |= {hue: free[i % len(free)] for i, hue in enumerate(settings)}
    return {hue: palette[index] for hue, index in found.items()}


def _first_free(order: list[int], taken: Collection[int]) -> int:
    """Return the first entry that is not taken, or the first one where all are."""
    return next((index for index in order if index not in taken), order[0])


def phase_palette() -> dict[str, Colour]:
    """Colour the two phases of the scatter."""
    palette = sns.color_palette("colorblind")
    return {"before": palette[0], "after": palette[3]}


def heuristic_order(heuristics: list[str]) -> list[str]:
    """Put plain finetuning first, then the rest by name."""
    return sorted(set(heuristics), key=lambda name: (name != "none", name))


def algo_order(algos: list[str]) -> list[str]:
    """Put the algorithms of KEPT first, then the rest by name."""
    known = list(KEPT)
    return sorted(set(algos), key=lambda name: (known.index(name) if name in known else len(known), name))


def name(word: str) -> str:
    """Write the name of an algorithm or a dataset: short ones are acronyms, others stay as the config has them."""
    acronym = len(word) <= ACRONYM and word.isalnum()
    return SPELLED.get(word, word.upper() if acronym else word)


def cell_label(algo: str, heuristic: str, variant: str, counts: str) -> str:
    """Name a cell in words: `PPO, after partial SFT`, with what else sets it apart.

    Without a heuristic a run is `alone`, unless its steps count updates or epochs on given targets, where nothing is
    ever done first.
    """
    supervised = counts in ("optimiser step", "epoch")
    words = [] if heuristic == "none" and supervised else [heuristic_label(heuristic)]
    return ", ".join([name(algo), *words, *map(override_in_words, variant.split())])


def heuristic_label(heuristic: str) -> str:
    """Name a heuristic in words."""
    words = {"none": "alone", AFTER_SFT: "after SFT", "partial_sft": "after partial SFT"}
    return words.get(heuristic, heuristic.replace("_", " "))


def short_override(override: str) -> str:
    """Shorten `algo.kl.coef=0.1` to `coef=0.1`, and a number that a search has drawn to six digits."""
    key, _, value = override.partition("=")
    drawn = DRAWN.fullmatch(value)
    return f"{key.rsplit('.', 1)[-1]}={float(value):g}" if drawn else f"{key.rsplit('.', 1)[-1]}={value}"


def override_in_words(override: str) -> str:
    """Write `algo.loop.step_fraction=0.4` as `40% of its steps`, and any other override as short as it can be."""
    key, _, value = override.partition("=")
    place, _, last = key.rpartition(".")
    if place.endswith(".kl") and last in OF_KL:
        return f"{OF_KL[last]} {value}"
    of = SHARES.get(last)
    return short_override(override) if of is None else f"{100 * float(value):g}% of its {of}"


def panel_title(scale: str, source: str, data: str, model: str) -> str:
    """Say which data, model, scale and source a figure shows, so that a mini result never poses as the paper's."""
    return f"{name(data)}  ·  model {model}  ·  {kind_title(scale, source)}"


def kind_title(scale: str, source: str) -> str:
    """Say which scale and source a figure of several datasets shows."""
    return f"scale {scale}  ·  {source_in_words(source)}"
