"""The loops and losses that the tests of the loops run."""

from rftlab.algorithms.apa import APA
from rftlab.algorithms.awr import AWR
from rftlab.algorithms.grpo import GRPO
from rftlab.algorithms.ilql import ILQL
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.ppo import PPO
from rftlab.algorithms.reinforce import TextReinforce
from rftlab.loops.offline import Offline
from rftlab.loops.online import Online
from rftlab.loops.supervised import Supervised


def ppo(**values: object) -> PPO:
    defaults = {
        "clip_range": 0.2,
        "value_clip_range": 0.2,
        "value_coef": 0.5,
        "entropy_coef": 0.01,
        "entropy": "exact",
        "kl_coef": 0.0,
        "gamma": 1.0,
        "gae_lambda": 0.95,
        "whiten_advantages": "minibatch",
        "kl": AdaptiveKL(initial=0.05, target=6.0, rate=0.5, unit="response"),
    }
    return PPO(**defaults | values)


def apa(**values: object) -> APA:
    defaults = {"lam": 0.5, "value_coef": 1.0, "entropy_coef": 0.0, "gamma": 1.0, "gae_lambda": 0.95}
    return APA(**defaults | {"whiten_advantages": "rollout"} | values)


def awr(**values: object) -> AWR:
    defaults = {"lam": 1.0, "weight_clip": None, "value_coef": 1.0, "entropy_coef": 0.0, "gamma": 1.0}
    return AWR(**defaults | {"gae_lambda": 0.95, "whiten_advantages": "rollout"} | values)


def grpo(**values: object) -> GRPO:
    defaults = {"clip_low": 0.2, "clip_high": 0.2, "scale": "std", "average": "row", "constant_length": None}
    defaults |= {"ratio": "token", "kl_coef": 0.0, "entropy_coef": 0.0, "whiten_advantages": "none"}
    return GRPO(**defaults | values)


def reinforce(**values: object) -> TextReinforce:
    defaults = {"gamma": 1.0, "entropy_coef": 0.0, "whiten_advantages": "rollout"}
    return TextReinforce(**defaults | {"kl": AdaptiveKL(initial=0.05, target=6.0, rate=0.5, unit="response")} | values)


def online(**values: object) -> Online:
    defaults = {
        "iterations": 3,
        "prompts_per_iteration": 4,
        "tokens_per_iteration": None,
        "samples_per_prompt": 2,
        "update_epochs": 2,
        "minibatch_size": 4,
        "minibatch_tokens": None,
        "microbatch_size": 2,
        "score_scaling": "running",
        "score_clip": 10.0,
    }
    return Online(**defaults | values)


def in_tokens(**values: object) -> Online:
    """Count in tokens: 24 per rollout, two optimiser steps of about 12 in each pass."""
    sizes = {"prompts_per_iteration": None, "minibatch_size": None, "tokens_per_iteration": 24, "minibatch_tokens": 12}
    return online(**{"update_epochs": 1, "microbatch_size": 4} | sizes | values)


def ilql(**values: object) -> ILQL:
    defaults = {"gamma": 0.99, "tau": 0.6, "cql_coef": 0.1, "awac_coef": 1.0, "beta": 0.0, "polyak": 0.1}
    return ILQL(**defaults | {"decode_b": [1.0, 4.0], "decode_top_k": 3} | values)


def offline(**values: object) -> Offline:
    defaults = {"steps": 3, "batch_size": 4, "microbatch_size": 4, "standardise_scores": True, "values": "once"}
    return Offline(**defaults | values)


def supervised(**values: object) -> Supervised:
    defaults = {"steps": 5, "step_fraction": 1.0, "sample_fraction": 0.5, "batch_size": 4, "microbatch_size": 2}
    defaults["whole_text"] = None
    return Supervised(**defaults | values)
