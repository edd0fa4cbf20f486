"""Mistakes in SFT, reward model, RL: where runs begin, which reward model is refused, whose scores are learned."""

from mutants.mutation import Mutation

STARTS, ODD, ROWS = "config/test_starts.py", "loops/test_odd_pairs.py", "loops/test_rows_as_responses.py"
LEARNED = "rewards/test_learned.py"

MUTATIONS = {
    "every-model-is-after-sft": Mutation(
        "config/scales.py",
        'if option is None or data in (self._of(f"model/{name}").get("sft_on") or ()):',
        'if option is None or self._of(f"model/{name}").get("sft_on"):',
        STARTS,
        "RL on TL;DR begins with a model of dialogues",
    ),
    "the-model-of-the-data-whatever-was-chosen": Mutation(
        "config/scales.py",
        'name = default if model.partition("/")[0] == "default" else model',
        "name = default",
        STARTS,
        "a base model at scale=paper gets no SFT",
    ),
    "sft-as-its-child-is-evaluated": Mutation(
        "config/inheritance.py",
        'on_pairs or named.get("reward") == "none" or _reads_documents(named)',
        "on_pairs or _reads_documents(named)",
        STARTS,
        "PPO and APA with other evaluations start from two SFTs",
    ),
    "a-given-start-is-ignored": Mutation(
        "config/inheritance.py",
        "    if parent is None or key is None:\n        return parent",
        "    if parent is not None or key is None:\n        return parent",
        STARTS,
        "a run that names its start begins with another one",
    ),
    "chance-alone-is-the-bar": Mutation(
        "rewards/finished.py",
        "if longer > CHANCE else",
        "if longer > 1 else",
        f"{ODD} {LEARNED}",
        "RL maximises length",
    ),
    "the-bar-is-met-by-the-value": Mutation(
        "loops/reward_model.py",
        "    if low > least:\n",
        "    if accuracy > least:\n",
        ODD,
        "nobody is warned before RL refuses the model",
    ),
    "scores-in-another-order": Mutation(
        "loops/offline.py",
        "scores += found.tolist()",
        "scores = found.tolist() + scores",
        ROWS,
        "responses are learned with the scores of others",
    ),
    "labels-in-place-of-the-reward": Mutation(
        "loops/offline.py",
        'if self.scores == "reward" else rows)',
        'if self.scores == "given" else rows)',
        ROWS,
        "offline RL knows two scores, 0 and 1",
    ),
}
