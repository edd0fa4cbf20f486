"""Mistakes in how the embedded models are made."""

from mutants.mutation import Mutation

AGAIN = "commands/test_assets_again.py"

MUTATIONS = {
    "weights-of-the-start": Mutation(
        "commands/export.py",
        '    load_policy_weights(policy, record.folder / "final" / "model.safetensors")\n',
        "",
        AGAIN,
        "the embedded models are random",
    ),
    "pretraining-without-a-seed": Mutation(
        "build/labs.py",
        'generator = stream(config["seed"], "initialisation")\n    policy =',
        'generator = stream(id(config), "initialisation")\n    policy =',
        AGAIN,
        "the embedded models cannot be made again",
    ),
    "texts-of-the-day": Mutation(
        "data/worlds/grammar.py",
        'text = "/".join(str(key) for key in (seed, *keys))',
        'text = "/".join(str(key) for key in (id(keys), *keys))',
        AGAIN,
        "the embedded models cannot be made again",
    ),
}
