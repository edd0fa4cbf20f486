"""Which runs a figure or table wants, and which sweep makes them where there are none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.missing.coverage import COLUMNS
from analysis.statistics.offline import FIXED_RESPONSES
from analysis.statistics.stats import of_family
from rftlab.place import program

SWEEP = "+sweep"


@dataclass(frozen=True)
class Wanted:
    """Runs that a figure wants.

    One command asks for all wishes that share `about`, the keys of `words` and the sweep.
    """

    about: str  # what the report of missing runs calls them
    algo: str
    words: str  # overrides of the command that makes them
    of: Callable[[pd.DataFrame], pd.DataFrame]  # keeps these runs of a frame of runs


def compared_on(data: str) -> Wanted:
    """Want PPO and APA on a dataset of language."""
    algos = "ppo,apa"
    return Wanted(data, algos, f"algo={algos} data={data}", lambda runs: _language_on(runs, data))


def of_theory(algo: str) -> Wanted:
    """Want one of the theory's experiments, at the values of its preset."""
    return Wanted("theory", algo, f"experiment=theory/{algo}", lambda runs: runs[runs["algo"] == algo])


def beside_others(algo: str) -> Wanted:
    """Want a policy of the sweep of all algorithms, on IMDB; those that sample have one preset."""

    def of(runs: pd.DataFrame) -> pd.DataFrame:
        here = _language_on(runs, "imdb")
        here = here[here["algo"] == algo]
        return here if algo in FIXED_RESPONSES else _like_for_like(here)

    return Wanted("every algorithm", algo, "+sweep=algorithms", of)


def of_apa(data: str, sweep: str, algos: Sequence[str], key: str = "") -> Wanted:
    """Want a sweep of docs/apa.md: runs of these algorithms on a dataset; with a key, those asked to change it."""

    def of(runs: pd.DataFrame) -> pd.DataFrame:
        here = _language_on(runs, data)
        asked = here["overrides"].map(lambda words: any(word.startswith(f"{key}=") for word in words or []))
        return here[here["algo"].isin(algos) & (asked.astype(bool) if key else True)]

    return Wanted(data, "", f"+sweep={sweep}", of)


def held(data: str, sweep: str) -> Wanted:
    """Want a sweep of docs/apa.md whose figure has runs of others, which are there without it: runs that it holds."""

    def of(runs: pd.DataFrame) -> pd.DataFrame:
        here = _language_on(runs, data)
        return here[[sweep in sweeps for sweeps in here["sweeps"]]]

    return Wanted(data, "", f"+sweep={sweep}", of)


LANGUAGE = (compared_on("narrativeqa"), compared_on("imdb"))
ONLINE = ("ppo", "nlpo", "apa", "reinforce", "rloo", "grpo", "awr", "rejection")
ALGORITHMS = tuple(map(beside_others, (*ONLINE, *FIXED_RESPONSES)))
PREFERENCES = {"hh": "apa_hh", "stack_exchange": "apa_stack", "tldr": "apa_tldr"}
APA_CURVES = tuple(of_apa(data, sweep, ("ppo", "apa", "awr")) for data, sweep in PREFERENCES.items())
APA_GOLD = tuple(of_apa(data, sweep, ("ppo", "apa", "awr"), "gold") for data, sweep in PREFERENCES.items())
APA_CONTROL = held("hh", "ppo_kl_control")
APA_SETTINGS = (of_apa("hh", "apa_lambda", ("apa",), "algo.loss.lam"), APA_CONTROL)
APA_OF_OTHERS = (held("hh", "apa_dolly"), APA_CONTROL)
APA_JUDGED = (held("stack_exchange", "judge"),)
APA_OFFLINE = (of_apa("hh", "apa_offline", ("ilql", "offline_awr", "offline_apa")),)
CONTROLLED = (Wanted("controlled experiments", "", "+sweep=controlled", lambda runs: of_family(runs, "controlled")),)


def never_made(wanted: Sequence[Wanted], runs: pd.DataFrame) -> list[dict]:
    """List what is wanted and has no run at all, with the commands that make it; equal wishes count once.

    A command names one sweep, as the axes of two do not join.
    """
    absent: dict[tuple, list[Wanted]] = {}
    for each in wanted:
        if each.of(runs).empty:
            absent.setdefault((each.about, *_axes(each), _axes(each).get(SWEEP)), []).append(each)
    return [_gap(about, alike) for (about, *_), alike in absent.items()]


def _gap(about: str, alike: list[Wanted]) -> dict:
    """Describe wishes that differ in their values alone, and the one command for all of them."""
    axes = {key: _joined([_axes(each)[key] for each in alike]) for key in _axes(alike[0])}
    words = [f"{key}={values}" for key, values in axes.items()]
    many = "-m " if any("," in word or word.startswith(f"{SWEEP}=") for word in words) else ""
    row = {"data": about, "algo": _joined([each.algo for each in alike]), "reason": "no runs"}
    row |= {"heuristic": "none"} if "algo" in axes else {}
    row |= {"variant": f"{SWEEP}={axes[SWEEP]}"} if SWEEP in axes else {}  # one line of the table from the next
    return dict.fromkeys(COLUMNS, "") | row | {"command": f"{program('train')} {many}{' '.join(words)}"}


def _axes(wanted: Wanted) -> dict[str, str]:
    """Map the keys of the command to their values."""
    return dict(word.partition("=")[::2] for word in wanted.words.split())


def _joined(values: list[str]) -> str:
    """Join the distinct values of comma-separated lists, in their order."""
    return ",".join(dict.fromkeys(part for value in values for part in value.split(",")))


def _language_on(runs: pd.DataFrame, data: str) -> pd.DataFrame:
    """Keep the language runs on a dataset."""
    language = of_family(runs, "language")
    return language[language["data"] == data]


def _like_for_like(runs: pd.DataFrame) -> pd.DataFrame:
    """Keep the runs of the preset that gives all algorithms one setting."""
    said = runs["overrides"].map(lambda words: "experiment=apa/like_for_like" in (words or []))
    return runs[said.astype(bool)]
