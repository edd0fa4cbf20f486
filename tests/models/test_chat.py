"""Prompts in a chat template: what is the template's, what is text, where a turn ends, and what is cut."""

from collections.abc import Callable

import pytest
import torch
from tokenizers import AddedToken, decoders, pre_tokenizers
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models as raw_models
from transformers import PreTrainedTokenizerFast

from rftlab.errors import UserError
from rftlab.models import Chat, Policy, chat_of, reference_of

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|start|>system\nbe kind<|end|>\n{% endif %}"
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML


def chatty(template: str | None = CHATML, eos: str = "<|end|>") -> PreTrainedTokenizerFast:
    """Build a byte tokenizer with a template; `<|end|>` ends a turn, whatever EOS is."""
    special = ["<|start|>", "<|end|>", "<|eos|>"]
    vocab = {token: i for i, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    raw = RawTokenizer(raw_models.BPE(vocab=vocab, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, special=True) for token in special])
    words = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=eos, pad_token=eos)
    words.chat_template = template
    return words


@pytest.fixture
def policy(tiny_llama: Callable[..., Policy]) -> Policy:
    return Policy(tiny_llama(vocab_size=300).lm, chatty(), "causal")


def shown(policy: Policy, ids: list[int]) -> str:
    return policy.tokenizer.decode(ids)


def test_the_prompt_is_what_the_user_says_and_the_answer_is_opened(policy: Policy) -> None:
    policy.talk(Chat(system=None))
    ids, mask = policy.encode_prompts(["hi", "a longer one"], 200, "left")
    start = "<|start|>system\nbe kind<|end|>\n<|start|>user\n"
    assert shown(policy, ids[0][mask[0]].tolist()) == f"{start}hi<|end|>\n<|start|>assistant\n"
    assert shown(policy, ids[1].tolist()) == f"{start}a longer one<|end|>\n<|start|>assistant\n"
    assert not mask[0, 0] and mask[:, -1].all()
    turn = [{"role": "user", "content": "a longer one"}]
    own = policy.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
    assert ids[1].tolist() == own


@pytest.mark.parametrize("system", ["", "be brief"])
def test_a_system_message_takes_the_place_of_the_templates_own(policy: Policy, system: str) -> None:
    policy.talk(Chat(system=system))
    ids, _ = policy.encode_prompts(["hi"], 200, "left")
    assert shown(policy, ids[0].tolist()).startswith(f"<|start|>system\n{system}<|end|>\n<|start|>user")


def test_tokens_of_the_template_that_a_text_names_are_text(policy: Policy) -> None:
    policy.talk(Chat(system=None))
    plain, _ = policy.encode_prompts([""], 200, "left")
    ids, _ = policy.encode_prompts(["a<|end|><|start|>b"], 200, "left")
    assert [(ids == i).sum().item() for i in (0, 1)] == [(plain == i).sum().item() for i in (0, 1)]
    assert "user\na<|end|><|start|>b<|end|>\n" in shown(policy, ids[0].tolist())
    targets, mask = policy.encode_targets(["a<|end|>b"], 32, True)
    assert targets[0].tolist().count(1) == 1 and targets[0, -1] == 1 and mask.all()


@pytest.mark.parametrize(("side", "kept"), [("left", "89"), ("right", "01")])
def test_of_a_long_prompt_the_template_stays_whole(policy: Policy, side: str, kept: str) -> None:
    policy.talk(Chat(system=None))
    around = policy.encode_prompts([""], 200, side)[0].shape[1]
    ids, _ = policy.encode_prompts(["0123456789"], around + 2, side)
    assert ids.shape[1] == around + 2 and f"user\n{kept}<|end|>\n<|start|>assistant\n" in shown(policy, ids[0].tolist())
    for text in ("é€🙂" * 4, "<|end|>" * 5):  # characters of several tokens, and what a template would take for its own
        ids, _ = policy.encode_prompts([text], around + 5, side)
        assert around <= ids.shape[1] <= around + 5 and shown(policy, ids[0].tolist()).endswith("assistant\n")
    with pytest.raises(UserError, match="whose template has"):
        policy.encode_prompts(["x"], around - 1, side)


def test_a_response_ends_as_a_turn_does_whatever_eos_is(tiny_llama: Callable[..., Policy]) -> None:
    policy = Policy(tiny_llama(vocab_size=300).lm, chatty(eos="<|eos|>"), "causal")
    assert policy.eos_id == 2
    policy.talk(Chat(system=None))
    assert policy.eos_id == 1 and policy.encode_targets(["a"], 4, True)[0][0, -1] == 1
    assert reference_of(policy).eos_id == 1 and reference_of(policy).chat == policy.chat
    bare = Policy(policy.lm, chatty("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", eos="<|eos|>"), "causal")
    bare.talk(Chat(system=None))
    assert bare.eos_id == 2, "a template without an end of its own leaves EOS"


def test_plain_prompts_stay_as_they_are(policy: Policy) -> None:
    before = policy.encode_prompts(["a<|end|>b"], 20, "left")[0]
    policy.talk(chat_of({"max_tokens": 8, "truncation_side": "left"}))
    assert torch.equal(policy.encode_prompts(["a<|end|>b"], 20, "left")[0], before)


def test_special_tokens_that_a_text_names_are_text_unless_it_is_marked(policy: Policy) -> None:
    end = policy.tokenizer.convert_tokens_to_ids("<|end|>")
    assert not (policy.encode_prompts(["a<|end|>b"], 20, "left")[0] == end).any()
    assert not (policy.encode_targets(["a<|end|>b"], 20, append_eos=False)[0] == end).any()
    policy.marked = True
    assert (policy.encode_prompts(["a<|end|>b"], 20, "left")[0] == end).sum() == 1
    assert (policy.encode_targets(["a<|end|>b"], 20, append_eos=False)[0] == end).sum() == 1
    assert (policy.with_lm(policy.lm).encode_prompts(["a<|end|>b"], 20, "left")[0] == end).any()


def test_what_cannot_chat_is_refused_in_one_line(policy: Policy, tiny_t5: Callable[..., Policy]) -> None:
    cases = {
        "no chat template": (Policy(policy.lm, chatty(None), "causal"), None),
        "which the template refuses .no system role": (Policy(policy.lm, chatty(NO_SYSTEM), "causal"), "be brief"),
        "with a seq2seq model": (tiny_t5(), None),
    }
    for words, (one, system) in cases.items():
        with pytest.raises(UserError, match=words) as caught:
            one.talk(Chat(system=system))
        assert "\n" not in str(caught.value)
