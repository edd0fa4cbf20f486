"""Policies, references and value networks over Hugging Face models; loading, freezing and storing them."""

from rftlab.models.adapters import LoRA, adapt, merged
from rftlab.models.chat import Chat, chat_of
from rftlab.models.critic import ValueFunction, ValueHead, value_function
from rftlab.models.freeze import freeze_below, frozen_copy, reference_of
from rftlab.models.fused import fuse
from rftlab.models.guide import Guide
from rftlab.models.load import load_policy
from rftlab.models.policy import Policy
from rftlab.models.text import Tokenizer
from rftlab.models.weights import load_policy_weights, load_weights, save_pretrained_folder, save_weights

__all__ = [
    "Chat",
    "Guide",
    "LoRA",
    "Policy",
    "Tokenizer",
    "ValueFunction",
    "ValueHead",
    "adapt",
    "chat_of",
    "freeze_below",
    "frozen_copy",
    "fuse",
    "load_policy",
    "load_policy_weights",
    "load_weights",
    "merged",
    "reference_of",
    "save_pretrained_folder",
    "save_weights",
    "value_function",
]
