"""Mistakes in what makes starting and reading quick: light imports, the catalogue of runs, seeds composed once."""

from mutants.mutation import Mutation

LIGHT, CATALOGUE, SEEDS = "test_light.py", "runs/test_catalogue.py", "config/test_seeds_at_once.py"
LOOKS = "loops/test_first_looks.py"

MUTATIONS = {
    "stand-in-for-ever": Mutation(
        "light.py",
        "        return getattr(_real_dynamo(), name)\n",
        "        raise AttributeError(name)\n",
        LIGHT,
        "torch.compile finds no compiler",
    ),
    "compiler-for-a-gradient": Mutation(
        "light.py",
        "    compiled_autograd = _NoCompiledAutograd()\n",
        "",
        LIGHT,
        "a diagnosis waits two seconds for what it does not use",
    ),
    "compiler-loaded-twice": Mutation(
        "light.py",
        "            if fullname in sys.modules:  # its package has imported it by now\n",
        "            if False:\n",
        LIGHT,
        "two copies of one module, each with half of the state",
    ),
    "packages-left-bare": Mutation(
        "light.py",
        'if bare and f"{module}.".startswith(f"{bare[0]}.")]',
        "if False]",
        LIGHT,
        "nltk is without its functions for whoever imports it later",
    ),
    "packages-whose-modules-stay": Mutation(
        "light.py",
        'if bare and f"{module}.".startswith(f"{bare[0]}.")]',
        "if module in bare]",
        f"{LIGHT} rewards/test_wordnet.py",
        "METEOR cannot be had where WordNet is",
    ),
    "catalogue-trusted-over-the-folder": Mutation(
        "runs/catalogue.py",
        'if entry is not None and entry["marks"] == marks:',
        "if entry is not None:",
        CATALOGUE,
        "a run that was done again shows its old numbers",
    ),
    "catalogue-by-time-and-size-alone": Mutation(
        "runs/catalogue.py",
        "return [found.st_mtime_ns, found.st_size, found.st_ino]",
        "return [found.st_mtime_ns, found.st_size]",
        CATALOGUE,
        "a config restored from elsewhere with its time is not read",
    ),
    "catalogue-of-this-moment": Mutation(
        "runs/catalogue.py",
        "if done is not None and _settled(marks) and _as_json(config):",
        "if done is not None and _as_json(config):",
        CATALOGUE,
        "a file written twice within a tick of the clock is read once",
    ),
    "catalogue-of-what-json-changes": Mutation(
        "runs/catalogue.py",
        "if done is not None and _settled(marks) and _as_json(config):",
        "if done is not None and _settled(marks):",
        CATALOGUE,
        "keys that are numbers become texts, or nothing is written at all",
    ),
    "seed-that-others-refer-to": Mutation(
        "config/compose.py",
        'words is None or "seed" in words for words',
        "words is None for words",
        SEEDS,
        "a value that follows the seed stays that of the first",
    ),
    "seed-that-an-override-refers-to": Mutation(
        "config/compose.py",
        'refers = any("${" in word for word in overrides)',
        "refers = False",
        SEEDS,
        "the runs of all seeds have the name of the first",
    ),
    "seed-of-a-parent": Mutation(
        "config/compose.py",
        "        if not job.parents and not refers:",
        "        if not refers:",
        SEEDS,
        "every seed begins from the parent of the first",
    ),
    "seeds-that-share-their-config": Mutation(
        "config/compose.py",
        '_identified({**_copy(like.config), "seed": seeds[0]}, like.parents)',
        '_identified({**like.config, "seed": seeds[0]}, like.parents)',
        SEEDS,
        "what is written into one job's config is in all of them",
    ),
    "answers-of-other-weights": Mutation(
        "loops/first_looks.py",
        '[("ids", ids), ("mask", mask), *_weights(policy)]',
        '[("ids", ids), ("mask", mask)]',
        LOOKS,
        "a run says of its policy what another one answered",
    ),
    "answers-to-other-prompts": Mutation(
        "loops/first_looks.py",
        '[("ids", ids), ("mask", mask), *_weights(policy)]',
        '[("mask", mask), *_weights(policy)]',
        LOOKS,
        "texts stand beside prompts that they do not answer",
    ),
    "answers-of-a-trained-policy-kept": Mutation(
        "loops/evaluation.py",
        "lab.first_looks if first else None",
        "lab.first_looks",
        LOOKS,
        "every evaluation writes a file that no run reads",
    ),
    "answers-of-a-shifted-policy-shared": Mutation(
        "loops/evaluation.py",
        "looks = None if shift else lab.first_looks",
        "looks = lab.first_looks",
        LOOKS,
        "what a policy answers with one shift is told of another",
    ),
    "answers-never-found": Mutation(
        "loops/evaluation.py",
        "if (found := looks.find(key, len(examples) * draw.samples)) is None:",
        "if (found := None) is None:",
        LOOKS,
        "every run draws again what another one has",
    ),
    "answers-of-another-number": Mutation(
        "loops/first_looks.py",
        "len(texts) == len(lengths) == rows",
        "len(texts) == len(lengths)",
        LOOKS,
        "a file of too few answers ends the run",
    ),
    "answers-of-another-decoding": Mutation(
        "loops/first_looks.py",
        '"draw": asdict(draw),',
        '"draw": draw.seed,',
        LOOKS,
        "another temperature gets the texts of the first",
    ),
}
