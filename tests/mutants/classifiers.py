"""Mistakes in the classifier of texts that is a reward: what it scores, when it is none, and whose parent it is."""

from mutants.mutation import Mutation

MODEL, LOOP = "models/test_tfidf.py", "loops/test_text_classifier.py"
REWARD, PARENT = "rewards/test_text_classifier_reward.py", "config/test_classifier_parent.py"

MUTATIONS = {
    "classifier-of-the-other-label": Mutation(
        "models/tfidf.py",
        "predict_proba(self.vectorizer.transform(texts))[:, 1]",
        "predict_proba(self.vectorizer.transform(texts))[:, 0]",
        MODEL,
        "the reward has the wrong sign",
    ),
    "classifier-stored-in-single-precision": Mutation(
        "models/tfidf.py",
        '"coefficients": self.regression.coef_[0],',
        '"coefficients": self.regression.coef_[0].astype("f4"),',
        MODEL,
        "a stored classifier scores otherwise than the one that was measured",
    ),
    "classifier-without-some-coefficients": Mutation(
        "models/tfidf.py",
        'if len(terms) != len(tensors["coefficients"]):',
        "if False:",
        MODEL,
        "a damaged file is noticed only where it scores, with a traceback",
    ),
    "accuracy-of-the-beginning": Mutation(
        "loops/text_classifier.py",
        "text.split()[-self.last_words :]",
        "text.split()[: self.last_words]",
        LOOP,
        "the accuracy on short texts is of other texts",
    ),
    "accuracy-interval-of-equal-texts": Mutation(
        "loops/text_classifier.py",
        "found = pair_accuracy(margins, texts)",
        "found = pair_accuracy(margins, range(len(texts)))",
        LOOP,
        "repeated texts make an accuracy look sure",
    ),
    "chance-is-one-half-whatever-the-labels": Mutation(
        "rewards/text_classifier.py",
        "chance = max(share, 1 - share)",
        "chance = 0.5",
        REWARD,
        "a classifier that always says the frequent label is a reward",
    ),
    "generated-classifier-on-real-rows": Mutation(
        "rewards/text_classifier.py",
        'if source == "bundled" or record.config["data"]["source"] != "bundled":',
        "if True:",
        REWARD,
        "real responses are scored by words of a small world",
    ),
    "classifier-per-evaluation": Mutation(
        "config/inheritance.py",
        " or _reads_documents(named)):",
        "):",
        PARENT,
        "runs that are evaluated otherwise fit the same classifier again",
    ),
    "classifier-of-the-child-alone": Mutation(
        "config/inheritance.py",
        'reward.get("_target_") != CLASSIFIER)',
        "True)",
        PARENT,
        "SFT before RFT on real rows is scored by a classifier that is at chance",
    ),
}
