"""Mistakes in the steps of the loop on texts: rows, units and minibatches, chance, schedule, metrics."""

from mutants.mutation import Mutation

EXPERIENCE, UPDATES = "loops/test_experience.py", "loops/test_updates.py"
LABS = "build/test_labs.py"
SEAMS, SUPERVISED = "loops/test_seams.py", "loops/test_supervised.py"
STEP = "lab.optimizer.step(state.optimizer, state.networks, state.step, schedule.steps)"

MUTATIONS = {
    # --- rows, units, minibatches ---------------------------------------------------------------------------------
    "rows-with-the-prompts-of-others": Mutation(
        "types.py",
        "prompt_ids=self.prompt_ids[prompts],",
        "prompt_ids=self.prompt_ids[: len(prompts)],",
        "loops/test_networks.py",
        "every minibatch but the first answers other prompts",
    ),
    "rows-with-the-prompt-mask-of-others": Mutation(
        "types.py",
        "prompt_mask=self.prompt_mask[prompts],",
        "prompt_mask=self.prompt_mask[: len(prompts)],",
        f"loops/test_networks.py {UPDATES}",
        "prompts are read with pads, or cut",
    ),
    "rows-with-the-columns-of-others": Mutation(
        "types.py",
        "name: column[index] for",
        "name: column[: len(index)] for",
        "loops/test_networks.py",
        "advantages of other responses",
    ),
    "rows-with-the-mask-of-others": Mutation(
        "types.py",
        "response_mask=self.response_mask[index],",
        "response_mask=self.response_mask[: len(index)],",
        f"loops/test_networks.py {UPDATES}",
        "pads are trained, and tokens are not",
    ),
    "totals-of-the-microbatch": Mutation(
        "loops/update.py",
        "algorithm.needs.entropy), batch, totals)",
        "algorithm.needs.entropy), batch, totals_of(batch, ranks))",
        UPDATES,
        "the gradient grows with the number of microbatches",
    ),
    "totals-count-pads": Mutation(
        "loops/update.py",
        "sizes = [minibatch.response_mask.sum(), ",
        "sizes = [minibatch.response_mask.numel(), ",
        "loops/test_update.py",
        "the step is smaller the more the lengths differ",
    ),
    "totals-rows-are-units": Mutation(
        "loops/update.py",
        "(minibatch.unit, minibatch.unit.unique())",
        "(minibatch.unit.unique(), minibatch.unit)",
        "loops/test_update.py",
        "means over groups are means over responses",
    ),
    "minibatches-part-units": Mutation(
        "loops/update.py",
        "cut(unit[rows], size)",
        "cut(torch.arange(len(unit)), size)",
        "loops/test_update.py",
        "an algorithm on groups sees half of them",
    ),
    "microbatches-part-units": Mutation(
        "loops/update.py",
        "cut(minibatch.unit, networks.numerics.microbatch_size)",
        "cut(rows, networks.numerics.microbatch_size)",
        SEAMS,
        "an algorithm on groups sees half of them",
    ),
    "groups-are-rows": Mutation(
        "loops/online.py", "unit=algorithm.unit", 'unit="row"', SEAMS, "an algorithm on groups sees half of them"
    ),
    "rows-are-groups": Mutation(
        "loops/collect.py",
        'if self.unit == "group" else',
        "if True else",
        f"{SEAMS} {UPDATES}",
        "minibatches are drawn by prompt",
    ),
    "cut-lets-units-overflow": Mutation(
        "loops/update.py",
        "end > start and end + rows - start > size",
        "end - start >= size",
        "loops/test_update.py",
        "microbatches larger than the memory is for",
    ),
    "minibatches-in-order": Mutation(
        "loops/update.py",
        "torch.randperm(len(numbers), generator=generator).to(unit.device)",
        "torch.arange(len(numbers), device=unit.device)",
        f"loops/test_update.py {UPDATES}",
        "minibatches are the same in every epoch",
    ),
    "every-minibatch-is-the-rollout": Mutation(
        "loops/experience.py",
        "minibatch = experience.rows(rows)",
        "minibatch = experience",
        UPDATES,
        "minibatch_size does nothing",
    ),
    "one-epoch-whatever-is-asked": Mutation(
        "loops/experience.py",
        "in range(schedule.update_epochs)",
        "in range(1)",
        UPDATES,
        "update_epochs does nothing",
    ),
    "trim-where-some-row-is-padded": Mutation(
        "loops/update.py",
        "batch.prompt_mask.any(dim=0), batch.response_mask.any(dim=0)",
        "batch.prompt_mask.any(dim=0), batch.response_mask.all(dim=0)",
        "loops/test_update.py",
        "SFT learns the beginnings of texts",
    ),
    "trim-prompts-where-some-row-is-padded": Mutation(
        "loops/update.py",
        "batch.prompt_mask.any(dim=0), batch.response_mask.any(dim=0)",
        "batch.prompt_mask.all(dim=0), batch.response_mask.any(dim=0)",
        f"loops/test_update.py {UPDATES}",
        "SFT reads the ends of prompts",
    ),
    "trim-by-the-mask-of-the-prompts": Mutation(
        "loops/update.py",
        "response_ids=batch.response_ids[:, answered],",
        "response_ids=batch.response_ids[:, : int(answered.sum())].roll(1, 1),",
        "loops/test_update.py",
        "SFT learns tokens in the place of others",
    ),
    "columns-not-trimmed": Mutation(
        "loops/update.py",
        "x[:, answered] if x.ndim == 2 else x",
        "x",
        "loops/test_update.py",
        "columns of another width than their rows",
    ),
    "metrics-of-the-last-microbatch": Mutation(
        "loops/update.py",
        "sums = sums + torch.stack(",
        "sums = torch.stack(",
        "loops/test_update.py",
        "losses on the curves depend on the microbatches",
    ),
    "smallest-of-the-maxima": Mutation(
        "loops/update.py", ".amax(0)", ".amin(0)", "loops/test_update.py", "an outlier is not seen"
    ),
    # --- chance and schedule --------------------------------------------------------------------------------------
    "same-noise-in-every-iteration": Mutation(
        "loops/collect.py",
        "places = range(place.draws * self.prompts, (place.draws + 1) * self.prompts)",
        "places = range(self.prompts)",
        UPDATES,
        "a prompt that comes again is explored in the same way",
    ),
    "same-prompts-in-every-iteration": Mutation(
        "loops/experience.py",
        "state.draws + collected.draws",
        "state.draws",
        EXPERIENCE,
        "a run sees its first prompts and no others",
    ),
    "same-order-in-every-epoch": Mutation(
        "loops/experience.py",
        'stream(lab.session.seed, "minibatches", iteration, epoch)',
        'stream(lab.session.seed, "minibatches", iteration)',
        UPDATES,
        "minibatches are the same in every epoch",
    ),
    "same-orders-in-every-iteration": Mutation(
        "loops/experience.py",
        'stream(lab.session.seed, "minibatches", iteration, epoch)',
        'stream(lab.session.seed, "minibatches", epoch)',
        SEAMS,
        "the first prompts of every draw meet in one minibatch",
    ),
    "schedule-starts-again": Mutation(
        "loops/experience.py",
        STEP,
        STEP.replace("state.step,", "len(updates) + 1,"),
        EXPERIENCE,
        "warm-up in every iteration, and no decay",
    ),
    "schedule-over-the-iterations": Mutation(
        "loops/online.py",
        "self.iterations * self.update_epochs * (rows // self.minibatch_size)",
        "self.iterations",
        EXPERIENCE,
        "the learning rate is 0 after a fraction of the run, and then rises",
    ),
    "gradients-pile-up": Mutation(
        "loops/lab.py",
        "        optimizer.zero_grad(set_to_none=True)\n",
        "",
        f"{UPDATES} {EXPERIENCE}",
        "every step takes the gradients of all before it",
    ),
    "gradient-clipped-in-five-tensors": Mutation(
        "loops/lab.py",
        "nn.utils.clip_grad_norm_(parameters,",
        "nn.utils.clip_grad_norm_(parameters[:5],",
        UPDATES,
        "max_grad_norm does next to nothing",
    ),
    "first-answer-only": Mutation(
        "loops/collect.py",
        "example.targets[epoch % len(example.targets)]",
        "example.targets[0]",
        SUPERVISED,
        "SFT sees one answer of each prompt",
    ),
    "answers-in-another-order-than-prompts": Mutation(
        "loops/collect.py",
        "response_ids=ids[order],\n            response_mask=mask[order],",
        "response_ids=ids,\n            response_mask=mask,",
        SUPERVISED,
        "SFT learns the answers of other prompts",
    ),
    "divergence-let-through": Mutation(
        "loops/experience.py",
        "        refuse_divergence(metrics)\n",
        "",
        UPDATES,
        "a run of NaN looks like a finished one",
    ),
    # --- metrics, evaluation and groups ---------------------------------------------------------------------------
    "std-within-other-prompts": Mutation(
        "loops/metrics.py",
        "experience.scores.view(-1, samples_per_prompt)",
        "experience.scores.view(samples_per_prompt, -1).T",
        EXPERIENCE,
        "the share of vanishing prompts during training",
    ),
    "kl-per-token-as-kl": Mutation(
        "loops/metrics.py",
        "_mean(row_sum(kl_k1(old, ref), mask), total)",
        "masked_mean(kl_k1(old, ref), mask, total)",
        EXPERIENCE,
        "the KL axis of every plot, and beta",
    ),
    "every-split-is-train": Mutation(
        "loops/evaluation.py",
        "getattr(lab.task.splits, split)",
        "lab.task.splits.train",
        EXPERIENCE,
        "every claim about generalisation",
    ),
    "looks-of-one-noise": Mutation(
        "loops/evaluation.py",
        '("probe", phase, step), f"reward',
        '("probe", "before", 0), f"reward',
        UPDATES,
        "noise that before and after share is taken for a correlation of std and change",
    ),
    "groups-swapped": Mutation(
        "build/labs.py",
        '{"small_std": sets.modified, "large_std": ~sets.modified}',
        '{"small_std": ~sets.modified, "large_std": sets.modified}',
        LABS,
        "Figure 3 of the controlled experiments is upside down",
    ),
}
