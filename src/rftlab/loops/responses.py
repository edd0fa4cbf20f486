"""Scored responses to keep: what algorithms that do not sample learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rftlab.diagnostics import prompt_statistics
from rftlab.errors import UserError
from rftlab.loops.evaluation import encode, log_samples, places_of, score, subset
from rftlab.loops.lab import Lab
from rftlab.ranges import Positive
from rftlab.runs import write_responses
from rftlab.sampling.sample import prompts_at_once, sample
from rftlab.sampling.stop import cut_at
from rftlab.streams import row_noise
from rftlab.types import Example, Sampling

SPLITS = ("train", "validation")
COLUMNS = ("asked", "text", "ids", "score", "truncated")
Rows = dict[str, list[Any]]  # of one split, a list per column: prompts by their ids, whose rows are adjacent


@dataclass(frozen=True, kw_only=True)
class Responses:
    """Sample responses of the start policy as in a rollout, score and keep them; nothing is trained."""

    samples_per_prompt: Positive[int]
    prompts: Positive[int] | None  # of each split, a fixed random subset; None = all

    def run(self, lab: Lab) -> dict[str, float]:
        """Write `responses.parquet`; see `runs.responses`.

        Returns:
            The final metrics.
        """
        assert lab.task.rollout is not None
        asked = {split: self._asked(lab, split) for split in SPLITS}
        rows = self._resume(lab, asked)
        total = sum(map(len, asked.values()))
        size = prompts_at_once(lab.evaluation.batch_size, self.samples_per_prompt)
        # from where an earlier attempt was, which may have had batches of another size
        batches = [
            (split, start) for split in SPLITS for start in range(self._answered(rows, split), len(asked[split]), size)
        ]
        for split, start in lab.session.bar(batches, "sampling"):
            self._answer(lab, split, asked[split], slice(start, start + size), rows[split])
            answered = sum(self._answered(rows, split) for split in SPLITS)
            if lab.session.due(answered // size) or answered == total:
                lab.session.save(answered, {"rows": rows})
        write_responses(lab.session.run.folder, self._columns(asked, rows))
        final = self._metrics(rows, lab.evaluation.std_below)
        lab.session.run.log(total, final)
        told = ", ".join(f"{split} {final[f'responses/{split}/reward']:.3f}" for split in SPLITS if asked[split])
        lab.session.describe(f"{total * self.samples_per_prompt} responses to {total} prompts, mean reward {told}")
        return final

    def _asked(self, lab: Lab, split: str) -> list[Example]:
        examples = getattr(lab.task.splits, split)
        return subset(examples, len(examples) if self.prompts is None else self.prompts, "responses", split)

    def _resume(self, lab: Lab, asked: Mapping[str, Sequence[Example]]) -> dict[str, Rows]:
        """Give what earlier attempts answered.

        Raises:
            UserError: It does not answer the first prompts, each in its place.
        """
        rows: dict[str, Rows] = {split: {name: [] for name in COLUMNS} for split in SPLITS}
        if (saved := lab.session.resume()) is None:
            return rows
        rows = saved[1]["rows"]
        for split, examples in asked.items():
            ids = [example.id for example in examples for _ in range(self.samples_per_prompt)]
            if rows[split].get("asked") != ids[: len(rows[split]["score"])]:
                found = f"a checkpoint whose {split} responses do not answer the first prompts in their order"
                expected = "one of this version: older ones may have responses beside the wrong prompts"
                raise UserError(found, expected, "checkpoints/ of the run folder: remove it")
        return rows

    def _answered(self, rows: Mapping[str, Rows], split: str) -> int:
        return len(rows[split]["score"]) // self.samples_per_prompt

    def _answer(self, lab: Lab, split: str, examples: list[Example], part: slice, rows: Rows) -> None:
        """Sample and score responses to some prompts; the noise of each is keyed by its place in the split."""
        rollout, places = lab.task.rollout, places_of(examples)[part]
        assert isinstance(rollout, Sampling)
        samples, steps = self.samples_per_prompt, rollout.max_new_tokens
        noise = row_noise(lab.session.seed, "responses", split, places=places, samples=samples, steps=steps)
        whole = sample(
            lab.policy, *encode(lab, examples[part]), rollout, samples, noise, batch_size=lab.evaluation.batch_size
        )
        responses = cut_at(lab.policy, whole, lab.task.stop)
        texts, scores = score(lab, examples[part], responses)
        ids = zip(responses.response_ids.cpu(), responses.response_mask.cpu(), strict=True)
        first = not rows["asked"]
        rows["asked"] += [example.id for example in examples[part] for _ in range(samples)]
        rows["text"] += texts
        rows["ids"] += [row[mask].tolist() for row, mask in ids]
        rows["score"] += scores.tolist()
        rows["truncated"] += responses.truncated.tolist()
        if first:
            asked = [example for example in examples[part] for _ in range(samples)]
            kept = slice(lab.evaluation.n_logged)
            log_samples(lab, {"phase": "responses", "split": split}, asked[kept], texts[kept], scores[kept])

    def _columns(self, asked: Mapping[str, Sequence[Example]], rows: Mapping[str, Rows]) -> dict[str, list[Any]]:
        of_rows = [(split, e) for split in SPLITS for e in asked[split] for _ in range(self.samples_per_prompt)]
        return {
            "split": [split for split, _ in of_rows],
            "prompt_id": [example.id for _, example in of_rows],
            "prompt": [example.prompt for _, example in of_rows],
            "targets": [list(example.targets) for _, example in of_rows],
            "response": [text for split in SPLITS for text in rows[split]["text"]],
            "response_ids": [ids for split in SPLITS for ids in rows[split]["ids"]],
            "score": [value for split in SPLITS for value in rows[split]["score"]],
        }

    def _metrics(self, rows: Mapping[str, Rows], std_below: float) -> dict[str, float]:
        metrics = {}
        for split, found in rows.items():
            if found["score"]:
                metrics |= {
                    f"responses/{split}/reward": float(np.mean(found["score"])),
                    f"responses/{split}/reward_std": float(np.std(found["score"])),
                    f"responses/{split}/length": float(np.mean([len(ids) for ids in found["ids"]])),
                    f"responses/{split}/truncated": float(np.mean(found["truncated"])),
                    f"responses/{split}/n": float(len(found["score"])),
                }
        metrics["reward/mean"] = metrics["responses/train/reward"]
        if self.samples_per_prompt > 1:
            stds = prompt_statistics(np.reshape(rows["train"]["score"], (-1, self.samples_per_prompt))).std
            metrics["reward/std_within_prompt"] = float(stds.mean())
            metrics["reward/share_vanishing"] = float((stds < std_below).mean())
        return metrics
