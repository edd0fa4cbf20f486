"""Mistakes in rewards: what a text scores."""

from mutants.mutation import Mutation

METEOR, BLEU, ROUGE = "rewards/test_meteor.py", "rewards/test_bleu.py", "rewards/test_rouge_score.py"
CHRF_TER, CIDER = "rewards/test_chrf_ter.py", "rewards/test_cider_d.py"
BERTSCORE, PARENT = "rewards/test_bertscore.py", "rewards/test_parent.py"
SQUAD, PENALTIES = "rewards/test_squad.py", "rewards/test_penalties.py"
SYNONYMS = "launch/test_same_synonyms.py"
FILES = "commands/test_reward_command.py"

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
        "rewards/references.py", "if empty or all(map(str.strip, references)):", "if references:",
        BLEU, "responses that are too short score 1",
    ),
    "rouge-lsum-is-gamed-by-newlines": Mutation(
        "rewards/rouge_score.py", 'len(gold) if self.lines == "reference" else None', "None", ROUGE,
        "a response of one word per line scores as a bag of words",
    ),
    "rouge-counts-a-word-twice": Mutation(
        "rewards/rouge_score.py", "                left_here[word] -= 1\n", "", ROUGE,
        "ROUGE-Lsum is not that of rouge-score",
    ),
    "rouge-knows-ascii-alone": Mutation(
        "rewards/rouge_score.py", 'letters == "unicode" or text.isascii()', "text.isascii()", ROUGE,
        "equal texts of other scripts score 0",
    ),
    "token-f1-counts-kinds-of-words": Mutation(
        "rewards/squad.py", "(Counter(words) & Counter(gold)).total()", "len(set(words) & set(gold))", SQUAD,
        "repeated words are worth less than in SQuAD",
    ),
    "articles-before-punctuation": Mutation(
        "rewards/squad.py", "ARTICLE.sub(\" \", text.lower().translate(WITHOUT_PUNCTUATION))",
        "ARTICLE.sub(\" \", text.lower()).translate(WITHOUT_PUNCTUATION)", SQUAD,
        "answers that SQuAD takes as equal differ",
    ),
    "a-sum-forgets-its-weights": Mutation(
        "rewards/weighted_sum.py", "total += weight * self.terms[name]", "total += self.terms[name]", PENALTIES,
        "a penalty weighs as much as the task",
    ),
    "a-short-response-is-diverse": Mutation(
        "rewards/diversity.py", "max(len(grams), self.shortest - self.n + 1, 1)", "max(len(grams), 1)", PENALTIES,
        "a policy earns diversity by brevity",
    ),
    "a-file-of-a-reward-is-no-part-of-the-run": Mutation(
        "config/sources.py", "        found |= _files_of(function)\n", "", "config/test_own_function.py",
        "an edited reward is taken for the same run",
    ),
    "chrf-blind-to-spaces": Mutation(
        "rewards/chrf.py", "whitespace=self.whitespace", "whitespace=False", CHRF_TER,
        "a text without any space scores 1",
    ),
    "ter-without-an-end": Mutation(
        "rewards/ter.py", "np.minimum(np.array(rates, dtype=np.float64), 1.0)", "np.array(rates, dtype=np.float64)",
        CHRF_TER, "one long response outweighs a whole batch",
    ),
    "cider-of-the-first-reference": Mutation(
        "rewards/cider_d.py", "10 * sum(scores) / len(scores)", "10 * scores[0]", CIDER,
        "consensus is that with one reference",
    ),
    "cider-without-clipping": Mutation(
        "rewards/cider_d.py", "min(x, b[gram]) * b[gram]", "x * b[gram]", CIDER,
        "a policy gains by repeating a rare word: CIDEr, not CIDEr-D",
    ),
    "a-corpus-is-no-part-of-the-run": Mutation(
        "config/sources.py", "            found[text] = _content(text, folders)\n", "            pass\n",
        "build/test_build_reward.py", "a reward that counts other words is taken for the same run",
    ),
    "bertscore-counts-start-and-end": Mutation(
        "rewards/bertscore.py", "if token not in aside]", "if token not in ()]", BERTSCORE,
        "equal frames make all texts alike",
    ),
    "bertscore-of-the-last-layer": Mutation(
        "rewards/bertscore.py", "output.hidden_states[self.num_layers]", "output.hidden_states[-1]", BERTSCORE,
        "it agrees less with people than published",
    ),
    "parent-counts-a-value-twice": Mutation(
        "rewards/parent.py", "values = dict.fromkeys(words for", "values = list(words for", PARENT,
        "the cells that both tables of a prompt show count more than titles",
    ),
    "parent-without-the-table": Mutation(
        "rewards/parent.py", "(there + (1 - there) * _share(gram, known))", "there", PARENT,
        "what only the table says counts as invented",
    ),
    "a-class-by-part-of-its-name": Mutation(
        "rewards/intent.py", "label in (name, str(index))", "label in name", "rewards/test_intent.py",
        "another class is rewarded than was asked for",
    ),
    "wordnet-of-regular-forms-alone": Mutation(
        "rewards/wordnet.py", "self.exceptions.get(word, regular)", "regular", "rewards/test_wordnet.py",
        "irregular plurals and verbs have no synonyms",
    ),
    "cells-of-a-row-in-other-columns": Mutation(
        "data/parts/table_file.py", "if len(line) not in (0, len(names)):", "if not names:", FILES,
        "a response is scored against the text of another column",
    ),
    "lines-end-within-texts": Mutation(
        "data/parts/table_file.py", '.read_text(encoding="utf-8-sig").split("\\n")',
        '.read_text(encoding="utf-8-sig").splitlines()', FILES, "texts with other ends of lines cannot be scored",
    ),
    "rows-without-a-gold-word-untold": Mutation(
        "commands/pairs.py", "        if blank:\n", "        if False:\n", FILES,
        "a mean is lowered by rows in which nothing could score",
    ),
    "the-row-within-the-chunk": Mutation(
        "commands/reward.py", "start + error.position + 1", "error.position + 1", FILES,
        "the user mends another row than the one that is wrong",
    ),
    "synonyms-that-no-run-keeps": Mutation(
        "build/labs.py", "runs.note_synonyms(folder, wordnet.source())", "pass", SYNONYMS,
        "a run is resumed with another METEOR than it began with",
    ),
    "synonyms-outside-of-the-cell": Mutation(
        "runs/records.py", "return {} if found is None else {FOUND: found}", "return {}", SYNONYMS,
        "a curve is the mean of seeds with two different METEORs",
    ),
    "a-finished-run-whatever-its-synonyms": Mutation(
        "launch/same.py", "runs.refuse_other_synonyms(folder, here)", "pass", SYNONYMS,
        "the METEOR of another machine is given out as that of this one",
    ),
    "parts-of-a-sentence-without-its-end": Mutation(
        "rewards/meteor.py", "_of_part(part, i == first, i == last)", "_of_part(part, i == first, False)", METEOR,
        "the last word of a text keeps its full stop",
    ),
}  # fmt: skip
