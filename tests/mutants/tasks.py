"""Mistakes in what a task is: its examples, label sets, splits and rewards."""

from mutants.mutation import Mutation

ROUGE, SENTIMENT = "rewards/test_rouge.py", "rewards/test_sentiment.py"
LOADERS, SETS, IMAGES = "data/test_loaders.py", "data/test_label_sets.py", "data/test_images.py"
DRAW = "loops/test_draw.py"
MIRRORS, ROWS = "data/test_mirror_files.py", "launch/test_same_rows.py"

MUTATIONS = {
    "keys-of-members-are-for-the-default": Mutation(
        "commands/arguments.py",
        'return override if varied else f"{key}=choice({value})"',
        "return override",
        "config/test_keys_of_members.py",
        "a grid over algorithms refuses a key that the default one lacks",
    ),
    # --- rewards --------------------------------------------------------------------------------------------------
    "rouge-mean-over-references": Mutation(
        "rewards/rouge.py",
        "return max(_f_score(words, self._words(reference), 1 / self.weight) for reference in references)",
        "return sum(_f_score(words, self._words(r), 1 / self.weight) for r in references) / len(references)",
        ROUGE,
        "the reward of NarrativeQA is not the paper's",
    ),
    "rouge-stems-short-words": Mutation(
        "rewards/rouge.py",
        "len(word) >= SHORTEST_STEMMED",
        "len(word) >= SHORTEST_STEMMED - 1",
        ROUGE,
        "other words are equal than in py-rouge",
    ),
    "rouge-without-word-limit": Mutation(
        "rewards/rouge.py", "text.split()[:word_limit]", "text.split()", ROUGE, "long responses score otherwise"
    ),
    "rouge-is-precision": Mutation(
        "rewards/rouge.py",
        "2 * common / (len(words) ** power + len(reference) ** power)",
        "common / len(words) ** power",
        ROUGE,
        "one right word is a perfect answer",
    ),
    "rouge-without-its-weight": Mutation(
        "rewards/rouge.py", "1 / self.weight)", "1.0)", ROUGE, "the reward of NarrativeQA is not the released one"
    ),
    "rouge-keeps-case": Mutation(
        "rewards/rouge.py",
        '" ".join(text.split()[:word_limit]).lower()',
        '" ".join(text.split()[:word_limit])',
        ROUGE,
        "capitals are lost letters",
    ),
    "sentiment-of-the-negative-class": Mutation(
        "rewards/sentiment.py", "POSITIVE = 1  #", "POSITIVE = 0  #", SENTIMENT, "the reward of IMDB is upside down"
    ),
    "sentiment-of-the-response-alone": Mutation(
        "rewards/classifier.py",
        "[prompt + response for prompt, response in zip(prompts, responses, strict=True)]",
        "[response for prompt, response in zip(prompts, responses, strict=True)]",
        SENTIMENT,
        "the prompt has no part in the reward",
    ),
    "sentiment-in-the-order-of-length": Mutation(
        "rewards/classifier.py",
        "scores[chosen] = self._probability([rows[i] for i in chosen])",
        "scores[start : start + self.batch_size] = self._probability([rows[i] for i in chosen])",
        SENTIMENT,
        "responses get the scores of others",
    ),
    "sentiment-reads-pads": Mutation(
        "rewards/classifier.py",
        "torch.arange(longest) < lengths[:, None]",
        "torch.ones_like(ids, dtype=torch.bool)",
        SENTIMENT,
        "a score depends on the texts beside it",
    ),
    "sentiment-reads-the-beginning": Mutation(
        "rewards/classifier.py",
        'TOKENIZER, truncation_side="left")',
        'TOKENIZER, truncation_side="right")',
        SENTIMENT,
        "long prompts hide the response from the reward",
    ),
    # --- draws ----------------------------------------------------------------------------------------------------
    "draws-overlap": Mutation(
        "loops/draw.py",
        "range(position, position + count)",
        "range(position // count, position // count + count)",
        DRAW,
        "prompts come again at once, and a pass takes for ever",
    ),
    "every-pass-in-one-order": Mutation(
        "loops/draw.py",
        'stream_seed(seed, "order", epoch)',
        'stream_seed(seed, "order")',
        DRAW,
        "every pass has the same order",
    ),
    "draws-with-replacement": Mutation(
        "loops/draw.py", ").permutation(n)", ").integers(n, size=n)", DRAW, "a third of the prompts is never seen"
    ),
    "shares-that-do-not-nest": Mutation(
        "loops/draw.py",
        'stream_seed(seed, "samples")',
        'stream_seed(seed, "samples", int(len(examples) * fraction))',
        DRAW,
        "a larger share of SFT prompts is another set",
    ),
    # --- labels ---------------------------------------------------------------------------------------------------
    "stratified-by-rounding-down": Mutation(
        "data/parts/classes.py", "    sizes[first] += 1\n", "", IMAGES, "subsets are smaller than configured"
    ),
    "stratified-from-the-first-rows": Mutation(
        "data/parts/classes.py",
        "rng.choice(np.flatnonzero(labels == label), size=n, replace=False)",
        "np.flatnonzero(labels == label)[:n]",
        IMAGES,
        "the data seed does nothing",
    ),
    "all-inputs-but-the-share-modified": Mutation(
        "data/parts/label_sets.py",
        "[: round(n * modified_share)]] = True",
        "[round(n * modified_share) :]] = True",
        SETS,
        "90 % of the inputs have a small std",
    ),
    "modified-labels-inside-the-set": Mutation(
        "data/parts/label_sets.py",
        "orders[labels, :labels_per_input], orders[labels, labels_per_input:]",
        "orders[labels, :labels_per_input], orders[labels, labels_per_input - 1 :]",
        SETS,
        "some modified inputs have a large std",
    ),
    "extra-labels-by-input": Mutation(
        "data/parts/label_sets.py",
        "modified = torch.zeros(n, dtype=torch.bool)\n",
        "modified = torch.zeros(n, dtype=torch.bool)\n"
        "    inside = torch.stack([_class_order(int(c), classes, seed + i) for i, c in enumerate(labels)])"
        "[:, :labels_per_input]\n",
        SETS,
        "pretraining is another task",
    ),
    "reward-of-modified-inputs-as-of-others": Mutation(
        "data/parts/label_sets.py",
        "    rewards[modified] = wrong_modified\n",
        "",
        SETS,
        "the high-initial-reward variant is the plain one",
    ),
    "right-label-of-the-class-order": Mutation(
        "data/parts/label_sets.py",
        "finetuning=torch.where(modified, outside.gather(1, choice).squeeze(1), labels)",
        "finetuning=torch.where(modified, outside.gather(1, choice).squeeze(1), inside[:, -1])",
        SETS,
        "unmodified inputs are finetuned on a wrong label",
    ),
    "images-not-centred": Mutation(
        "data/parts/images.py",
        ".div_(255).sub_(mean).div_(std)",
        ".div_(255).div_(std)",
        IMAGES,
        "other inputs than the paper's",
    ),
    "channels-mixed-with-rows": Mutation(
        "data/parts/images.py", ".permute(0, 3, 1, 2)", ".permute(0, 3, 2, 1)", IMAGES, "images lie on their side"
    ),
    "similarities-cut": Mutation(
        "data/stsb.py",
        "label=round,",
        "label=int,",
        "data/test_stsb.py",
        "other classes than the paper's",
    ),
    # --- texts ----------------------------------------------------------------------------------------------------
    "imdb-trains-on-both-labels": Mutation(
        "data/imdb.py",
        "return [number for number in numbers if labels[number] == POSITIVE]",
        "return [number for number in numbers if labels[number] is not None]",
        LOADERS,
        "other train prompts than the paper's",
    ),
    "imdb-validation-is-train": Mutation(
        "data/imdb.py",
        "return order[cut:]",
        "return order[:cut]",
        LOADERS,
        "validation on train prompts",
    ),
    "imdb-not-shuffled": Mutation(
        "data/imdb.py",
        "np.random.default_rng(SHUFFLE_SEED).permutation(len(rows)).tolist()",
        "list(range(len(rows)))",
        LOADERS,
        "the hub's rows are sorted by label: no train prompt is left, or no negative one in validation",
    ),
    "imdb-prompt-of-characters": Mutation(
        "data/imdb.py", "half = len(words) // 2", "half = len(words) // 3", LOADERS, "shorter prompts than the paper's"
    ),
    "narrativeqa-question-last": Mutation(
        "data/narrativeqa.py",
        "f\"{row['question.text']} \\\\n {summary} \".lower()",
        "f\"{summary} \\\\n {row['question.text']} \".lower()",
        LOADERS,
        "not the format that UnifiedQA was trained on; the question is cut off",
    ),
    "narrativeqa-keeps-case": Mutation(
        "data/narrativeqa.py",
        '{summary} ".lower()',
        '{summary} "',
        LOADERS,
        "not the format that UnifiedQA was trained on",
    ),
    "narrativeqa-first-row-wins": Mutation(
        "data/parts/text.py",
        "targets.setdefault(text.prompt, {}).update(dict.fromkeys(text.targets))",
        "targets.setdefault(text.prompt, dict.fromkeys(text.targets))",
        LOADERS,
        "fewer references, a lower reward",
    ),
    "subset-from-the-first-rows": Mutation(
        "data/parts/splits.py",
        "np.sort(rng.choice(len(items), size=n, replace=False))",
        "range(n)",
        "data/test_stsb.py",
        "the data seed does nothing",
    ),
    "corpus-spans-touch": Mutation(
        "data/corpus.py",
        "            continue  # spans neither overlap nor touch\n",
        "            pass\n",
        "data/test_corpus.py",
        "the embedded models learn from texts that do not fit together",
    ),
    # --- rows and rewards as they are ------------------------------------------------------------------------------
    "rows-from-the-cache": Mutation(
        "data/parts/hub.py",
        "rows = _read_files(place, config, split, columns, empty, data_dir, change, change_split)",
        "rows = datasets.load_dataset(place.source, config, split=split)",
        MIRRORS,
        "a mirror answers with the rows of another one",
    ),
    "done-with-other-rows": Mutation(
        "launch/rows.py",
        'runs.refuse_other_rows(folder, config, record["rows"], read[which])',
        "pass",
        ROWS,
        "a run counts as done that saw other data",
    ),
    "fingerprint-without-targets": Mutation(
        "data/parts/fingerprint.py",
        "[item.id, item.prompt, list(item.targets), _sorted(item.meta)]",
        "[item.id, item.prompt, _sorted(item.meta)]",
        ROWS,
        "other gold texts pass for the same rows",
    ),
    "own-files-outside-the-key": Mutation(
        "config/compose.py",
        "if files := own_files(config, self._folders):",
        "if files := {}:",
        "config/test_own_files.py",
        "an edited reward is done with the old numbers",
    ),
    "linked-folders-unseen": Mutation(
        "files.py",
        "os.walk(folder, followlinks=True)",
        "os.walk(folder)",
        ROWS,
        "rows behind a linked folder change without a word",
    ),
    "own-loader-trusted": Mutation(
        "runs/rows.py",
        "or own_loader(data) or only_from_the_hub(config)",
        "or only_from_the_hub(config)",
        ROWS,
        "rows that an own loader reads change without a word",
    ),
    "model-folders-outside-the-key": Mutation(
        "config/sources.py",
        "for text, folder in _model_folders(config)}",
        "for text, folder in ()}",
        "config/test_own_files.py",
        "other weights in the same folder are done with the old numbers",
    ),
    "embedded-weights-outside-the-key": Mutation(
        "config/sources.py",
        "    found |= embedded(config, folders)\n",
        "",
        "config/test_own_files.py",
        "embedded models that were made again are done with the old numbers",
    ),
    "embedded-weights-changed-while-stopped": Mutation(
        "config/sources.py",
        " != content] + made_again",
        " != content]",
        "config/test_own_files.py",
        "a stored run goes on with embedded models that were made again",
    ),
    "edited-files-under-the-old-key": Mutation(
        "build/training.py",
        "        refuse_edited(config, folder.name)\n",
        "",
        "build/test_edited_files.py",
        "a job runs a file that was edited after it was submitted",
    ),
    "retry-of-another-run": Mutation(
        "commands/sweep.py",
        "            refuse_other_runs(jobs, folder)\n",
        "",
        "commands/test_sweep_cli.py",
        "an edited reward is tried again under the old key",
    ),
    "scores-out-of-range": Mutation(
        "build/rewards.py",
        "(scores > high + ROUNDING)",
        "(scores > high + 1)",
        "build/test_checked_reward.py",
        "a reward of 1.01 is trained on",
    ),
    "whole-text-with-the-prompt-given": Mutation(
        "loops/evaluation.py",
        "return ids[:, :1], mask[:, :1], ids[:, 1:], mask[:, 1:]",
        "return ids[:, :2], mask[:, :2], ids[:, 2:], mask[:, 2:]",
        "loops/test_supervised.py",
        "SFT learns less of a text than it says",
    ),
}
