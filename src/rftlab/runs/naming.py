"""What a run is of, in words: read from what its config loads, never from the name of the option that was chosen.

`model=gpt2 model.policy.source=/models/llama` loads a Llama, and `data.source=hub` with a mirror reads the mirror.
Every title, file name, tag and log line takes its names from here. All functions read a flat config
(`rftlab.runs.flatten`) and take what an older config lacks as its default.
"""

import re
from collections.abc import Mapping

Flat = Mapping[str, object]

SOURCES = {  # where rows come from -> in words
    "bundled": "bundled data",
    "generated": "generated data",
    "hub": "hub data",
    "mirror": "rows of a local mirror",
    "folder": "rows of a local folder",
    "file": "rows of the user's own file",
    "own": "rows of a loader of the user's own",
}
REAL = ("hub", "mirror", "folder", "file")  # rows that this project did not make
EMBEDDED_CLASSIFIER = "asset:sentiment"  # made for the bundled reviews
NEAR_CHANCE = "reward near chance on real reviews: the embedded classifier calls 0.515 of 1,000 held-out ones right"
_PARTS = {  # of `data`, what each metric is decoded with
    "reward/mean": "rollout", "probe": "probe", "eval": "evaluation", "probe_own": "rollout", "eval_own": "rollout",
}  # fmt: skip


def model_name(flat: Flat) -> str:
    """Name the model after the weights or the config that were loaded.

    An embedded model or a hub id is called as its option where the two are spelled alike (`google-t5/t5-base` is
    `t5_base`), anything else by the last word of its source. The architecture, which a run notes when it has loaded
    (`loaded.architecture`), is added where the name does not hold it, and `random` where nothing was pretrained.
    """
    option, source = str(flat["model.name"]), flat.get("model.policy.source")
    if source is None:
        return option  # no source: the option describes the network itself
    words = [_as_option(option, str(source).removeprefix("asset:"))]
    architecture = flat.get("loaded.architecture")
    if architecture and _plain(architecture) not in _plain(words[0]):
        words.append(str(architecture))
    if flat.get("model.policy.init") == "random":
        words.append("random")
    return "-".join(words)


def data_name(flat: Flat) -> str:
    """Name the dataset: its option, and the last word of the hub id where rows of another dataset were read.

    A file of the user's own is called as it is called on the disk, without its ending.
    """
    option, hub_id = str(flat["data.name"]), flat.get("data.loader.hub_id")
    if path := flat.get("data.path"):
        return f"{option}-{_last(path).rpartition('.')[0]}"
    if data_source(flat) not in REAL or hub_id is None:
        return option
    if _plain(option) in (_plain(_last(hub_id)), _plain(flat.get("data.loader.hub_config"))):
        return option
    return f"{option}-{_last(hub_id)}"


def data_source(flat: Flat) -> str:
    """Say where the rows come from: one of SOURCES."""
    target = str(flat.get("data.loader._target_", "rftlab."))
    if not target.startswith("rftlab."):
        return "own"
    named = str(flat.get("data.source", "generated"))
    if named != "hub":
        return named
    if _is_path(str(flat.get("data.loader.hub_id", ""))):
        return "folder"
    return "mirror" if flat.get("paths.hub_mirror") else "hub"


def source_in_words(source: str) -> str:
    """Write one of SOURCES for a title."""
    return SOURCES.get(source, f"{source} data")


def start_in_words(flat: Flat) -> str:
    """Say which weights a run started from."""
    if key := flat.get("init_from"):
        return f"the weights of run {key}"
    source = flat.get("model.policy.source")
    if flat.get("model.policy.init") == "random":
        return "random weights, nothing pretrained"
    if source is None:
        return "weights that the config does not name"
    return f"the pretrained weights of {source if str(source).startswith('asset:') else _last(source)}"


def headline(flat: Flat) -> str:
    """Say in one line what a run is about to train, and on what."""
    source = source_in_words(data_source(flat))
    data = "" if data_name(flat) == flat["data.name"] else f" {data_name(flat)}"
    words = [str(flat["name"]), str(flat["scale"]), f"model {model_name(flat)}", f"{source}{data}"]
    return "  ".join([*words, *([NEAR_CHANCE] if near_chance(flat) else [])])


def near_chance(flat: Flat) -> bool:
    """Say whether real rows are rewarded by the embedded classifier, which knows the bundled reviews alone."""
    return data_source(flat) in REAL and flat.get("reward.source") == EMBEDDED_CLASSIFIER


# --- decodings ----------------------------------------------------------------------------------------------------


def decoding(flat: Flat, part: str) -> str:
    """Say in a few words how `data.rollout`, `data.probe` or `data.evaluation` draws responses; empty for no drawing.

    The plain settings go without saying: temperature 1 and the whole vocabulary. A run of before `data.probe` probed
    with its rollouts' sampling.
    """
    if part == "probe" and "data.probe.temperature" not in flat:
        part = "rollout"
    beams, temperature = (flat.get(f"data.{part}.{key}") for key in ("num_beams", "temperature"))
    if beams is not None:
        return "greedy" if beams == 1 else f"{beams} beams"
    if temperature is None:
        return ""
    words = [f"T={temperature:g}"] if temperature != 1 else []
    top_k, top_p = flat.get(f"data.{part}.top_k") or 0, flat.get(f"data.{part}.top_p", 1.0)
    words += [f"top_k {top_k}"] if top_k else []
    words += [f"top_p {top_p:g}"] if top_p != 1 else []
    return ", ".join(["sampled", *words])


def metric_label(metric: str, flat: Flat) -> str:
    """Write the name of a metric for a reader: of a reward, which prompts it is of and how they were decoded."""
    part = _PARTS.get(metric, _PARTS.get(metric.split("/")[0], ""))
    drawn = decoding(flat, part) if part else ""
    if not drawn:
        return metric  # of labels, whose rewards are exact, and of what is no reward
    if metric == "reward/mean":
        return f"rollout reward ({drawn})"
    if metric in ("probe/reward_mean", "probe_own/reward_mean"):
        return f"train reward ({drawn})"
    split = re.fullmatch(r"eval(?:_own)?/(\w+)/(reward|gold)", metric)
    name = "gold reward" if split and split[2] == "gold" else "reward"
    return f"{split[1]} {name} ({drawn})" if split else metric


# --- words --------------------------------------------------------------------------------------------------------


def _as_option(option: str, source: str) -> str:
    """Return the option where it is spelled like the last word of the source, else that word."""
    last = _last(source)
    return option if _plain(option) == _plain(last) else last


def _last(source: object) -> str:
    """Return the last word of a path or a hub id, as a part of a file name."""
    return re.sub(r"[^\w.-]", "_", str(source).rstrip("/").rpartition("/")[2]) or "unnamed"


def _plain(word: object) -> str:
    """Write a word without what spellings differ in."""
    return re.sub(r"[\W_]", "", str(word)).lower()


def _is_path(hub_id: str) -> bool:
    """Say whether what stands for a hub id is a path: a hub id is a name, or an organisation and a name."""
    return hub_id.startswith(("/", ".", "~")) or hub_id.count("/") > 1
