"""Mistakes in how ROUGE cuts texts into words and stems."""

from mutants.mutation import Mutation

ROUGE = "rewards/test_rouge_score.py"

MUTATIONS = {
    "digits-are-no-words": Mutation(
        "rewards/rouge_score.py",
        'sign.lower() if sign.isalnum() else " "',
        'sign.lower() if sign.isalpha() else " "',
        ROUGE,
        "answers that are numbers score 0",
    ),
    "an-ending-that-is-not-cut": Mutation(
        "rewards/rouge_score.py",
        '"ator", "e", "ll",',
        '"ator", "ll",',
        ROUGE,
        "ROUGE with stems is lower than that of rouge-score",
    ),
    "short-words-are-stemmed": Mutation(
        "rewards/rouge_score.py",
        "if len(word) >= SHORTEST_STEMMED and word.endswith(CUT)",
        "if word.endswith(CUT)",
        ROUGE,
        "`was` and `wa` are one word, unlike in rouge-score",
    ),
    "other-signs-are-left-out": Mutation(
        "rewards/rouge_score.py",
        "text.encode(code).translate",
        'text.encode(code, "ignore").translate',
        ROUGE,
        "Cyrillic letters are no words",
    ),
}
