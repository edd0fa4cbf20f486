"""Mistakes in rewards: what a text scores."""

from mutants.mutation import Mutation

METEOR, BLEU = "rewards/test_meteor.py", "rewards/test_bleu.py"

MUTATIONS = {
    "meteor-asks-for-synonyms-of-stems": Mutation(
        "rewards/meteor.py",
        'if self.synonyms == "stems" else (words, reference)',
        'if self.synonyms != "none" else (words, reference)',
        METEOR,
        "synonyms are hardly ever found, as in nltk",
    ),
    "meteor-matches-the-first-word": Mutation(
        "rewards/meteor.py", "found.append((row, there.pop()))", "found.append((row, there.pop(0)))", METEOR,
        "more runs than in nltk, so that scores are lower",
    ),
    "meteor-counts-runs-in-one-text": Mutation(
        "rewards/meteor.py", "b != (a[0] + 1, a[1] + 1)", "b[0] != a[0] + 1", METEOR,
        "the order of words in the reference does not count",
    ),
    "bleu-with-the-effective-order": Mutation(
        "rewards/bleu.py", "effective_order=self.effective_order", "effective_order=True", BLEU,
        "short responses score where the paper's reward is 0",
    ),
    "an-empty-reference-counts": Mutation(
        "rewards/references.py", "for reference in references if reference.strip()", "for reference in references",
        BLEU, "responses that are too short score 1",
    ),
}  # fmt: skip
