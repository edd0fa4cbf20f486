"""Mistakes in who a run is and what it leaves on the disk; and in the loop of the controlled experiments."""

from mutants.mutation import Mutation

IDENTITY, RUNS = "runs/test_identity.py", "runs/test_runs.py"
PARENTS, LOCAL, QUEUE = "config/test_parents.py", "sweeps/test_local.py", "sweeps/test_slurm_queue.py"
CHECKPOINT, EPOCHS = "loops/test_checkpoint.py", "loops/test_epochs.py"

MUTATIONS = {
    # --- identity -------------------------------------------------------------------------------------------------
    "key-of-the-place": Mutation(
        "runs/identity.py",
        '    "paths", "tracking",',
        '    "tracking",',
        IDENTITY,
        "a moved output folder runs everything again",
    ),
    "key-of-the-batches": Mutation(
        "runs/identity.py",
        "NOT_IDENTITY = BATCHES | {",
        "NOT_IDENTITY = frozenset() | {",
        IDENTITY,
        "a run that ran out of memory starts again with a smaller microbatch",
    ),
    "key-of-the-place-of-the-reward": Mutation(
        "runs/identity.py",
        "_counted(as_hashed(config), left_out)",
        "_counted(config, left_out)",
        IDENTITY,
        "every run on texts is another one since the reward has a group",
    ),
    "stored-rewards-stay-in-the-data": Mutation(
        "runs/records.py",
        "    return with_own_reward(_read_config(path))\n",
        "    return _read_config(path)\n",
        IDENTITY,
        "a run of before the group of rewards cannot be resumed",
    ),
    "learned-rewards-need-nothing": Mutation(
        "runs/parents.py",
        '**{f"{key}.run": node["run"] for key, node in named_runs(config)}',
        "**{}",
        IDENTITY,
        "a run whose reward model is missing starts",
    ),
    "key-without-the-schema-version": Mutation(
        "runs/identity.py",
        '{"schema_version": version, "config": hashed}',
        '{"config": hashed}',
        IDENTITY,
        "runs of another computation are taken for finished ones",
    ),
    "key-without-types": Mutation(
        "runs/identity.py",
        "        return value + 0.0  # -0.0 becomes 0.0\n",
        "        return int(value) if value == int(value) else value\n",
        IDENTITY,
        "two configs share a key",
    ),
    "minus-zero-is-another-run": Mutation(
        "runs/identity.py", "return value + 0.0", "return value", IDENTITY, "the same run is done twice"
    ),
    "key-by-the-order-of-the-config": Mutation(
        "runs/identity.py",
        "sort_keys=True",
        "sort_keys=False",
        IDENTITY,
        "a moved line in a config runs everything again",
    ),
    "key-lets-nan-through": Mutation(
        "runs/identity.py",
        "isinstance(value, float) and math.isfinite(value)",
        "isinstance(value, float)",
        IDENTITY,
        "a config without a meaning gets a key",
    ),
    "changed-keys-by-value-alone": Mutation(
        "runs/identity.py",
        "(type(a) is type(b) and a == b)",
        "(a == b)",
        IDENTITY,
        "a difference between two runs is not named",
    ),
    "renamed-runs-start-again": Mutation(
        "runs/identity.py",
        "return renamed[0] if renamed else folder",
        "return folder",
        IDENTITY,
        "a renamed run is done twice",
    ),
    # --- checkpoints ----------------------------------------------------------------------------------------------
    "oldest-checkpoint-first": Mutation(
        "loops/checkpoint.py",
        "in reversed(_saved(folder))",
        "in _saved(folder)",
        CHECKPOINT,
        "every resume goes back an iteration more than it must",
    ),
    "checkpoints-by-name-of-number": Mutation(
        "loops/checkpoint.py",
        'f"step_{step:08d}.pt"',
        'f"step_{step:08d}.pt" if step else "first.pt"',
        CHECKPOINT,
        "a checkpoint of step 0 is lost",
    ),
    "one-checkpoint-kept": Mutation(
        "loops/checkpoint.py", "KEPT = 2  #", "KEPT = 1  #", CHECKPOINT, "a damaged checkpoint starts the run again"
    ),
    "check-sums-not-looked-at": Mutation(
        "loops/checkpoint.py",
        "            _check_sums(path)\n",
        "",
        CHECKPOINT,
        "a flipped bit on the disk goes into the weights",
    ),
    "later-checkpoints-stay": Mutation(
        "loops/checkpoint.py",
        "*earlier[: len(earlier) - KEPT + 1], *later]",
        "*earlier[: len(earlier) - KEPT + 1]]",
        CHECKPOINT,
        "a damaged file of a later step is tried first for ever",
    ),
    # --- run folders ----------------------------------------------------------------------------------------------
    "first-value-of-a-step-counts": Mutation(
        "runs/records.py",
        'latest[line["step"], name] = float(values[name])',
        'latest.setdefault((line["step"], name), float(values[name]))',
        RUNS,
        "metrics of an attempt that was thrown away",
    ),
    "statistics-of-a-phase-pile-up": Mutation(
        "runs/attempt.py",
        "kept = [part not in new_parts for",
        "kept = [True or part not in new_parts for",
        RUNS,
        "a resumed run counts prompts twice",
    ),
    "another-config-under-a-key-is-taken": Mutation(
        "runs/attempt.py",
        "if stored is not None and canonical_json(identity(stored)) != canonical_json(identity(config)):",
        "if stored is None and config is None:",
        RUNS,
        "metrics of two computations in one folder",
    ),
    # --- the loop of the controlled experiments -------------------------------------------------------------------
    "label-resume-without-moments": Mutation(
        "loops/epochs.py",
        '        optimizer.load_state_dict(state["optimizer"])\n',
        "",
        EPOCHS,
        "every preempted run differs",
    ),
    "label-schedule-by-epoch": Mutation(
        "loops/epochs.py",
        "(epoch - 1) * len(batches) + number + 1, self.epochs * len(batches)",
        "epoch, self.epochs",
        EPOCHS,
        "warm-up and decay take other steps",
    ),
    "group-gradients-not-weighted": Mutation(
        "loops/epochs.py",
        "weighted = gradient * share",
        "weighted = gradient",
        EPOCHS,
        "measured epochs train with another gradient",
    ),
    "group-norms-of-the-batch": Mutation(
        "loops/epochs.py",
        "torch.autograd.grad(loss[mask].mean(), parameters, retain_graph=True)",
        "torch.autograd.grad(loss[mask].sum() / len(loss), parameters, retain_graph=True)",
        EPOCHS,
        "Figure 3 compares gradients of groups of different size",
    ),
    "epoch-means-not-weighted": Mutation(
        "loops/label_metrics.py",
        "value / self._weights[name] for",
        "value for",
        EPOCHS,
        "sums instead of means",
    ),
    # --- parents --------------------------------------------------------------------------------------------------
    "learned-reward-passed-down": Mutation(
        "config/inheritance.py",
        "return not alone and not",
        "return not",
        PARENTS,
        "a reward model is needed to train itself",
    ),
    "given-run-keeps-its-parent": Mutation(
        "config/compose.py",
        '                node["parent"] = None\n',
        "",
        PARENTS,
        "a config says of a given run how it was composed, though it was not",
    ),
    "childs-values-above-the-parents-own": Mutation(
        "config/compose.py",
        "        ConfigLoaderImpl._apply_overrides_to_config(changes, cfg)\n",
        "",
        PARENTS,
        "parent.overrides does nothing where the child has the key",
    ),
    "first-parent-is-enough": Mutation(
        "sweeps/local.py",
        "any(parent.key in self._keys and parent.key not in self.states for parent in job.parents)",
        "any(parent.key in self._keys and parent.key not in self.states for parent in job.parents[:1])",
        LOCAL,
        "a run starts before its reward model is trained",
    ),
    "slurm-waits-for-one-parent": Mutation(
        "sweeps/slurm/queue.py",
        "afterok:{':'.join(dependency)}",
        "afterok:{dependency[0]}",
        QUEUE,
        "a job of the cluster starts before its reward model is trained",
    ),
}
