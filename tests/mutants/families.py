"""Mistakes in what sets the families of models apart."""

from mutants.mutation import Mutation

FAMILIES = "models/test_families.py"

MUTATIONS = {
    "old-masks-are-weights": Mutation(
        "models/scalar.py",
        'CONSTANTS = (".attn.bias", ".attn.masked_bias", ',
        'CONSTANTS = (".attn.masked_bias", ',
        "models/test_old_checkpoints.py",
        "a published GPT-J reward model cannot be read",
    ),
    "one-name-of-a-head": Mutation(
        "models/scalar.py",
        '("v_head.weight", "score.weight")',
        '("v_head.weight",)',
        "models/test_old_checkpoints.py",
        "a reward model with a head called score is refused",
    ),
    "a-head-at-random": Mutation(
        "models/load.py",
        'if missing := sorted(info["missing_keys"]):',
        "if missing := []:",
        "models/test_old_checkpoints.py",
        "a language model scores at random as a reward model",
    ),
    "files-of-old-torch": Mutation(
        "models/scalar.py",
        "mapped = is_zipfile(found)",
        "mapped = True",
        "models/test_old_checkpoints.py",
        "a file of torch 1.5 cannot be read",
    ),
    "logits-without-their-cap": Mutation(
        "models/policy.py",
        "return logits if cap is None else cap * torch.tanh(logits.float() / cap)",
        "return logits",
        FAMILIES,
        "Gemma 2 scores and samples another distribution than its own",
    ),
    "padding-counts-as-positions": Mutation(
        "models/policy.py",
        "return (mask.long().cumsum(-1) - 1).clamp_min(0)",
        "return torch.arange(mask.shape[1]).expand(mask.shape)",
        FAMILIES,
        "scores of GPT-2 and GPT-Neo depend on the longest prompt of the batch",
    ),
    "plans-under-windows": Mutation(
        "sampling/plan.py",
        "window is not None and window < length",
        "window is not None and window < 0",
        FAMILIES,
        "models with windows sample from what they would not see",
    ),
    "plans-without-adapters": Mutation(
        "models/adapters.py",
        "if own is layer or layer.disable_adapters else",
        "if True else",
        FAMILIES,
        "a policy with an adapter samples as if it had learned nothing",
    ),
    "neighbours-turned-as-halves": Mutation(
        "sampling/plan.py",
        "rows = torch.cat([rows[: heads + key_heads, halves], rows[heads + key_heads :]])",
        "pass",
        FAMILIES,
        "GPT-J samples from another network than it scores with",
    ),
    "states-of-the-trunk-without-their-tuple": Mutation(
        "models/trunk.py",
        "        return self.states, None\n",
        "        return self.states\n",
        FAMILIES,
        "updates of GPT-J and GPT-Neo read the states of the first row alone",
    ),
    "tokenizers-made-anew-by-their-class": Mutation(
        "models/tokenizer.py",
        "        if file is None:\n",
        "        if True:\n",
        "models/test_reading_tokenizers.py",
        "texts are cut otherwise than in pretraining",
    ),
    "template-that-a-text-can-speak": Mutation(
        "models/chat.py",
        "sanitize_control_tokens=True",
        "sanitize_control_tokens=False",
        "models/test_chat.py",
        "a row of the data ends the user's turn and answers itself",
    ),
    "chat-that-ends-with-eos-alone": Mutation(
        "models/policy.py",
        "self.chat, self.eos_id = chat, chat.end(self.tokenizer)",
        "self.chat = chat",
        "models/test_chat.py",
        "responses of Gemma go on behind the end of the turn",
    ),
    "reference-without-the-chat": Mutation(
        "models/policy.py",
        "policy.chat, policy.eos_id, policy.marked = self.chat, self.eos_id, self.marked",
        "policy.marked = self.marked",
        "models/test_chat.py",
        "a value function and a reward model read other prompts than the policy",
    ),
    "head-drawn-at-random": Mutation(
        "models/load.py",
        'if missing := sorted(info["missing_keys"]):',
        "if missing := []:",
        "models/test_any_folder.py",
        "a checkpoint without its head trains from noise",
    ),
    "learned-behind-the-stop": Mutation(
        "sampling/stop.py",
        "        response_mask=kept,\n",
        "        response_mask=mask[:, :width],\n",
        "sampling/test_stop.py",
        "what is not scored is learned",
    ),
    "cut-before-the-stop": Mutation(
        "sampling/stop.py",
        "lo=1, key=stopped)",
        "lo=1, key=stopped) - 1",
        "sampling/test_stop.py",
        "the action that ends a response has no gradient",
    ),
    "stop-string-scored": Mutation(
        "loops/evaluation.py",
        "[text_before(text, stops) for text in texts]",
        "texts",
        "loops/test_stopped_runs.py",
        "a reward reads the prompt's format, which the policy learns to repeat",
    ),
}
