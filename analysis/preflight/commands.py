"""The commands that test a verdict. They repeat every key by which the diagnosis differs from the defaults."""

import shlex

from analysis.preflight.reading import Setting
from analysis.preflight.verdict import Kind, Verdict
from rftlab.place import program


def commands(setting: Setting, verdict: Verdict) -> list[tuple[str, str]]:
    """Return pairs of what a command is for, and the command."""
    if verdict.kind is Kind.UNDECIDED:
        return [("sample more", _more(setting, verdict))]
    if verdict.kind is Kind.LITTLE_TO_GAIN:
        return []
    alone = ("RFT from this policy as it is", _train(setting, *_start(setting)))
    if verdict.sft_share is None:
        return [alone]
    return [alone, *_sft(setting, verdict.sft_share), ("how much SFT is enough (a grid of many runs)", _grid(setting))]


def _sft(setting: Setting, share: float) -> list[tuple[str, str]]:
    """Return the commands that put SFT before RFT; SFT of a finetuned policy is a run of its own."""
    if setting.init_from is None:
        words = ["heuristic=partial_sft", f"heuristic.sample_fraction={share:g}"]
        return [("SFT first, then RFT", _train(setting, *words))]
    if setting.heuristic != "none":
        return []  # had SFT already: the grid compares how much is enough
    words = [f"init_from={setting.init_from}", f"algo.loop.sample_fraction={share:g}", "algo.loop.step_fraction=0.4"]
    return [
        ("SFT first", _command("train", setting, setting.trained, "algo=sft", *words)),
        ("then RFT", _train(setting, "init_from=KEY_OF_THAT_SFT")),
    ]


def _grid(setting: Setting) -> str:
    """Compare shares of SFT, from the weights that the model came with."""
    return _command("train", setting, setting.trained, "-m", "+sweep=partial_sft")


def _more(setting: Setting, verdict: Verdict) -> str:
    """Repeat the diagnosis with more samples; what is not to change stays as it was."""
    n_prompts = verdict.n_prompts or setting.n_prompts_asked
    words = [f"n_prompts={n_prompts}"] if n_prompts else []
    words += [f"samples={verdict.n_samples or setting.n_samples}"]
    return _command("diagnose", setting, setting.again, *_start(setting), *words)


def _train(setting: Setting, *words: str) -> str:
    return _command("train", setting, setting.trained, "algo=ppo", *words)


def _start(setting: Setting) -> list[str]:
    """Name the policy that was diagnosed; a heuristic brings its own start."""
    if setting.heuristic != "none":
        return [f"heuristic={setting.heuristic}", *setting.heuristic_keys]
    return [f"init_from={setting.init_from}"] if setting.init_from else []


def _command(name: str, setting: Setting, overrides: tuple[str, ...], *words: str) -> str:
    """Write a command; keys that have their defaults are left out."""
    keys = [f"data={setting.data_option}", f"model={setting.model_option}"]
    keys += [f"scale={setting.scale}"] if setting.scale != "mini" else []
    keys += overrides
    keys += [f"paths.hub_mirror={setting.hub_mirror}"] if setting.hub_mirror else []
    return " ".join([program(name), *map(shlex.quote, [*words, *keys])])
