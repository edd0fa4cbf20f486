"""What a run that must come first takes from the run that needs it (docs/adr/0009, docs/adr/0031)."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

from rftlab.config.options import content, kind_of_data, options
from rftlab.errors import UserError
from rftlab.ranges import RunKey
from rftlab.runs.parents import named_runs, names_run

OF_PAIRS = ("reward.parent", "gold.parent")  # where reward models of pairs come from
GROUPS = ("scale", "data", "model", "reward")  # what a parent shares with its child by group
OWN_DATA = ("rollout", "probe", "rewards", "responses")  # keys of the data that concern the child's objective alone
OWN_MODEL = (
    "value",
    "unfrozen_blocks",
    "lora",
)  # keys of the model that say what the child trains beside and in the policy
OWN_EVAL = ("every", "probe_every")  # which count the steps of the child's loop
OWN_LOADER = ("prompts_dir",)  # keys of the loader that say which of the prompts this kind of run is for
RESPONSES = "algo.responses"  # names the run whose responses are learned
CLASSIFIER = "rftlab.rewards.text_classifier.load"
MAKERS = {  # what is named there, or what reads the run -> loop, algorithm
    RESPONSES: ("Responses", "responses"),
    "rftlab.rewards.learned.load": ("RewardModelling", "reward_model"),
    CLASSIFIER: ("TextClassification", "text_classifier"),
}
SFT = "sft"  # option of the group `start`
STARTS_ONCE = "one of them, as a parent is what the run starts from"
(IS_KEY,) = RunKey.__metadata__


def groups_of_parent(
    config: Mapping[str, Any], choices: Mapping[str, str], named: Mapping[str, Any], place: str
) -> list[str]:
    """Return the options that a parent takes from its child, but for groups that its own overrides (`named`) choose.

    A learned reward is the child's alone, as the runs behind it would need themselves first: their reward is that of
    the data. So it is if they have other data than the child. Where that is a learned one too, the reward model behind
    it has none (`asks_no_reward`). A classifier of texts needs no such run, and is the reward of all.
    """
    taken = {group: choices[group] for group in GROUPS if group not in named}
    if not _keeps_reward(config, named, place) or str(taken.get("reward")).startswith("default/"):
        taken.pop("reward", None)  # the default of the data is that of the parent anyway, and nobody chose it
    return [f"{group}={option}" for group, option in taken.items()]


def values_of_parent(config: Mapping[str, Any], named: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the values that a parent takes from its child, but for groups that its own overrides name.

    Sampling settings, the rewards of labels, the value network and the layers that train are the child's alone: runs
    that differ in them share one parent. What counts iterations of the child's loop means nothing in another. Where a
    dataset has prompts for each kind of run, only the run that samples responses to them (`place`) takes the child's. A
    reward model of pairs that the rows bring is evaluated on pairs, so that all runs on the data share one; a
    classifier of texts, on all of its own; a run without a reward, on gold texts, as the same run alone.
    """
    shared = {name: config[name] for name in ("seed", "sweep", "paths", "tracking", "resources")}
    on_pairs = place in OF_PAIRS and config["data"].get("responses")
    if not (on_pairs or named.get("reward") == "none" or _reads_documents(named)):
        shared["eval"] = _without(config["eval"], OWN_EVAL)
    shared["runtime"] = _without(config["runtime"], ("checkpoint_every",))
    if "model" not in named:
        shared["model"] = _without(config["model"], OWN_MODEL)
    if "data" not in named:
        shared["data"] = _without(config["data"], OWN_DATA)
        if place != f"{RESPONSES}.parent" and "loader" in config["data"]:
            shared["data"]["loader"] = _without(config["data"]["loader"], OWN_LOADER)
    if config["reward"] is not None and _keeps_reward(config, named, place):
        shared["reward"] = config["reward"]
    return shared


def refuse_other_work(place: str, node: Mapping[str, Any], parent: Mapping[str, Any]) -> None:
    """Refuse a parent that makes something else than what is named at `place`, before it is trained.

    Raises:
        UserError: It does.
    """
    maker = node.get("_target_", place)
    if maker not in MAKERS:
        return
    loop, algo = MAKERS[maker]
    if parent["algo"]["loop"]["_target_"].rpartition(".")[2] != loop:
        found = f"{place}.parent.overrides, which compose a run of algo={parent['algo']['name']}"
        raise UserError(found, f"algo={algo} among them", f"{place}.parent.overrides")


def _keeps_reward(config: Mapping[str, Any], named: Mapping[str, Any], place: str) -> bool:
    reward = config["reward"]
    alone = names_run(reward) and (place in OF_PAIRS or reward.get("_target_") != CLASSIFIER)
    return not alone and not {"reward", "data"} & set(named)


def as_asked(reward: Any) -> Any:
    """Copy a reward as its parents take it: each run in it by its key if that was given, else by how it is made."""
    node = deepcopy(reward)
    for _, named in named_runs({"reward": node}):
        if named["run"] is not None:
            named["parent"] = None
    return node


def _reads_documents(named: Mapping[str, Any]) -> bool:
    """Say whether the dataset that a parent names is one of labelled texts."""
    data = named.get("data")
    return data in options("data") and kind_of_data(content(f"data/{data}")) == "documents"


def learns_rows(config: Mapping[str, Any]) -> bool:
    """Say whether a run learns the scored responses, or pairs, that the rows of its data bring."""
    named = config["algo"].get("responses")
    return named is not None and named["run"] is None and bool(config["data"].get("responses"))


def refuse_parent_of_rows(overrides: Collection[str]) -> None:
    """Refuse words about a run that is not made, as the rows of the data bring responses.

    Raises:
        UserError: There are such words.
    """
    typed = [
        word for word in overrides if word.lstrip("+").startswith((f"{RESPONSES}.parent.", f"{RESPONSES}.parent="))
    ]
    if typed:
        expected = "none of them, as the rows bring responses of their own, or data.responses=false to sample some"
        raise UserError(f"{typed[0]} with data.responses=true", expected, f"{RESPONSES}.parent or data.responses")


def asks_no_reward(config: Mapping[str, Any]) -> bool:
    """Say whether a run trains a reward model on what the rows of its data bring: nothing of it is ever scored."""
    return learns_rows(config) and "centre" in config["algo"]["loop"]


def _without(node: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name not in names}


def check_named_run(place: str, node: Mapping[str, Any], overrides: Collection[str]) -> None:
    """Refuse a mapping that names no run, or names one in two ways.

    Raises:
        UserError: What was found, what was expected and which key to change.
    """
    run, parent = node["run"], node["parent"]
    keys = f"{place}.run or {place}.parent"
    if run is None and parent is None:
        raise UserError(f"{place}.run=null and {place}.parent=null", "the key of a finished run, or a parent", keys)
    if run is not None and not (isinstance(run, str) and IS_KEY.holds(run)):
        raise UserError(f"{place}.run={run}", IS_KEY.expected, f"{place}.run")
    words = parent.get("overrides") if isinstance(parent, Mapping) and set(parent) == {"overrides"} else None
    if parent is not None and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise UserError(f"{place}.parent={parent}", "null, or overrides: a list of KEY=VALUE", f"{place}.parent")
    typed = [word for word in overrides if word.lstrip("+").startswith((f"{place}.parent.", f"{place}.parent="))]
    if run is not None and parent is not None and typed:
        raise UserError(f"{place}.run={run} with {typed[0]}", "one of them, as each names the run", keys)


def one_start(config: Mapping[str, Any], chosen: str | None) -> Mapping[str, Any] | None:
    """Return the parent that a run starts from; the one that the data asks for gives way to a key.

    `chosen` is the option of the group `start`.

    Raises:
        UserError: A start is given beside a parent that was asked for, or the data knows no SFT.
    """
    parent, key = config["parent"], config["init_from"]
    if chosen == SFT and kind_of_data(config["data"]) != "text":
        raise UserError(f"start=sft with data={config['data']['name']}", "start=base, or a dataset of texts", "start")
    if parent is None or key is None:
        return parent
    if str(chosen).startswith("default/") and parent == content(f"start/{SFT}")["parent"]:
        return None
    name = config["heuristic"]["name"]
    what = f"heuristic={name}" if name != "none" else f"start={chosen}" if chosen == SFT else "a parent"
    raise UserError(f"init_from={key} with {what}", STARTS_ONCE, "init_from, start or heuristic")
