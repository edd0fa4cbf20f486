"""Training of a reward model on preference pairs; it scores and samples nothing, so it is no policy in the end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from rftlab.loops.draw import draw
from rftlab.loops.evaluation import subset
from rftlab.loops.guard import refuse_broken_network, refuse_divergence
from rftlab.loops.lab import Lab
from rftlab.loops.pairs import Pair, experience_of, longest_response, pair_metrics, pairs_of_task
from rftlab.loops.update import cut, trim
from rftlab.models import save_weights
from rftlab.models.reward_model import Reading, RewardModel, reward_model
from rftlab.models.text import token_ids
from rftlab.ops import by_pair
from rftlab.ranges import Positive
from rftlab.rewards.finished import accuracy_to_exceed
from rftlab.streams import stream
from rftlab.types import PairAlgorithm

MOMENTS_OF = (
    500  # pairs: their mean is off by 3 % of a std, and all pairs of a large model cost as much as its training
)


@dataclass(frozen=True, kw_only=True)
class RewardModelling:
    """Pass over preference pairs; sizes count pairs, of two rows each. What is read of a response is its text."""

    steps: Positive[int]
    batch_size: Positive[int]
    microbatch_size: Positive[int]
    pairs: Literal["best_worst", "all"]
    max_response_tokens: Positive[int] | None
    centre: bool

    def run(self, lab: Lab, algorithm: PairAlgorithm) -> dict[str, float]:
        """Train, evaluating on held-out pairs before, during and after; resumes from the newest checkpoint.

        Returns:
            The final metrics.

        Raises:
            UserError: There are no pairs, or the policy is a classifier.
        """
        session = lab.session
        pairs = {split: pairs_of_task(lab, split, self.pairs) for split in ("train", "validation")}
        reading = Reading(
            max_prompt_tokens=lab.task.max_prompt_tokens,
            truncation_side=lab.task.truncation_side,
            prompt_ending=lab.task.prompt_ending,
            max_response_tokens=longest_response(lab, self.max_response_tokens),
        )
        network = reward_model(lab.policy, reading, stream(session.seed, "reward head"))
        tell_what_is_cut(lab, network, pairs["train"])
        optimizer = lab.optimizer.make(network)
        done, updates = self._resume(lab, network, optimizer)
        if done == 0 or self._looks(lab, done):  # the attempt before may have ended while it looked
            self._evaluate(lab, network, algorithm, pairs, done)
        for step in session.bar(range(done + 1, self.steps + 1), "steps", total=self.steps, initial=done):
            started = time.perf_counter()
            updates = self._step(lab, network, algorithm, optimizer, pairs["train"], step)
            session.run.log(step, updates | {"time/step_s": time.perf_counter() - started})
            if session.due(step) or self._looks(lab, step) or step == self.steps:
                refuse_broken(network, pairs["train"][0], step)
                state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "updates": updates}
                session.save(step, state)
            if self._looks(lab, step):
                self._evaluate(lab, network, algorithm, pairs, step)
        moments = moments_of(lab, network, subset(pairs["train"], MOMENTS_OF, "train", "moments"))
        if self.centre:
            network.centre.fill_(moments["reward_model/mean"])
        session.run.log(self.steps, moments)
        final = self._evaluate(lab, network, algorithm, pairs, self.steps)
        save_weights(network, session.run.folder / "final" / "model.safetensors")
        if (told := warning(final)) is not None:
            session.describe(told)
        return updates | moments | final

    def _looks(self, lab: Lab, step: int) -> bool:
        return 0 < step < self.steps and step % lab.evaluation.every == 0

    def _resume(self, lab: Lab, network: RewardModel, optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, float]]:
        if (saved := lab.session.resume()) is None:
            return 0, {}
        step, state = saved
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return step, state["updates"]

    def _step(
        self,
        lab: Lab,
        network: RewardModel,
        algorithm: PairAlgorithm,
        optimizer: torch.optim.Optimizer,
        pairs: Sequence[Pair],
        step: int,
    ) -> dict[str, float]:
        """Take one optimiser step; give its metrics."""
        drawn = [pair for pair, _ in draw(pairs, self.batch_size, lab.session.seed, (step - 1) * self.batch_size)]
        metrics = accumulate_gradient(lab, network, algorithm, drawn, self.microbatch_size)
        metrics["grad/norm"] = float(lab.optimizer.clip(network))
        refuse_divergence({"loss": metrics["reward_model/loss"], "grad/norm": metrics["grad/norm"]}, step)
        lab.optimizer.step(optimizer, step, self.steps)
        return metrics | {"optimizer/lr": lab.optimizer.lr_at(step, self.steps)}

    def _evaluate(
        self, lab: Lab, network: RewardModel, algorithm: PairAlgorithm, pairs: dict[str, list[Pair]], step: int
    ) -> dict[str, float]:
        """Measure loss and accuracy on some train pairs and on all held-out ones; log and tell them."""
        metrics: dict[str, float] = {}
        for split, every in pairs.items():
            asked = subset(every, lab.evaluation.sizes[split], split, "pairs") if split == "train" else every
            found = evaluate(lab, network, algorithm, asked)
            metrics |= {f"eval/{split}/{name}": value for name, value in found.items()}
        lab.session.run.log(step, metrics)
        lab.session.describe(describe(step, self.steps, metrics))
        return metrics


def accumulate_gradient(
    lab: Lab, network: RewardModel, algorithm: PairAlgorithm, pairs: Sequence[Pair], microbatch_size: int
) -> dict[str, float]:
    """Leave the gradient of the mean loss of the pairs in the parameters; give what describes it.

    The denominator is the number of pairs of the whole step, on all processes together.
    """
    prompts = network.encode_prompts([pair.example.prompt for pair in pairs])
    texts = [response.response for pair in pairs for response in (pair.chosen, pair.rejected)]
    rows = experience_of(prompts, network.encode_responses(texts), 1.0)
    index = torch.arange(len(rows.unit), device=rows.unit.device)
    total = lab.ranks.sum(torch.tensor(float(len(pairs)), device=rows.unit.device))
    sums = torch.zeros(3, dtype=torch.float64, device=rows.unit.device)
    for part in cut(rows.unit, 2 * microbatch_size):
        batch = trim(rows.rows(index[part]))
        chosen, rejected = by_pair(
            network(batch.prompt_ids, batch.prompt_mask, batch.response_ids, batch.response_mask, batch.prompt_index)
        )
        loss = algorithm.pair_loss(chosen, rejected).sum() / total
        loss.backward()
        margin = (chosen - rejected).detach()
        shares = (loss.detach(), ((margin.sign() + 1) / 2).sum() / total, margin.sum() / total)
        sums += torch.stack(shares).double()
    lab.ranks.sum_gradients(p for p in network.parameters() if p.requires_grad)
    names = ("reward_model/loss", "reward_model/accuracy", "reward_model/margin")
    return dict(zip(names, lab.ranks.sum(sums).tolist(), strict=True))


@torch.no_grad()
def refuse_broken(network: RewardModel, pair: Pair, step: int) -> None:
    """Stop a run whose network has become useless; it is asked about one response."""
    rows = network.encode_prompts([pair.example.prompt]), network.encode_responses([pair.chosen.response])
    refuse_broken_network(network, network(*rows[0], *rows[1]), step)


def scores_of(lab: Lab, network: RewardModel, pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Score the chosen and the rejected responses, those of a pair in one pass."""
    size, parts = max(1, lab.evaluation.batch_size // 2), []
    for start in range(0, len(pairs), size):
        lab.session.stop.check()
        part = pairs[start : start + size]
        rows = [*(pair.chosen for pair in part), *(pair.rejected for pair in part)]
        scores = network.score([row.example.prompt for row in rows], [row.response for row in rows], 2 * size)
        parts.append(scores.reshape(2, len(part)))
    chosen, rejected = np.concatenate(parts, axis=1) if parts else np.empty((2, 0))
    return chosen, rejected


def evaluate(lab: Lab, network: RewardModel, algorithm: PairAlgorithm, pairs: Sequence[Pair]) -> dict[str, float]:
    """Measure what the scores tell of some pairs."""
    chosen, rejected = scores_of(lab, network, pairs)
    loss = algorithm.pair_loss(torch.from_numpy(chosen), torch.from_numpy(rejected))
    return pair_metrics(pairs, chosen - rejected, float(loss.mean()))


def moments_of(lab: Lab, network: RewardModel, pairs: Sequence[Pair]) -> dict[str, float]:
    """Give mean and std of the scores of all responses in pairs, before they are centred."""
    scores = np.concatenate(scores_of(lab, network, pairs))
    return {"reward_model/mean": float(scores.mean()), "reward_model/std": float(scores.std())}


def warning(final: Mapping[str, float]) -> str | None:
    """Say that a trained model will be refused as a reward; None if it will not."""
    accuracy, low = (final[f"eval/validation/pair_accuracy{end}"] for end in ("", "_low"))
    least, rule = accuracy_to_exceed(final["eval/validation/longer_accuracy"])
    if low > least:
        return None
    return f"accuracy {accuracy:.3f}, from {low:.3f}, is not above {least:.3f} ({rule}): refused as a reward by default"


def tell_what_is_cut(lab: Lab, network: RewardModel, pairs: Sequence[Pair]) -> None:
    """Say how many responses lose their beginning."""
    most = network.reading.max_response_tokens
    texts = {response.response for pair in pairs for response in (pair.chosen, pair.rejected)}
    long = sum(len(token_ids(lab.policy.tokenizer, response)) > most for response in texts)
    if long:
        lab.session.describe(f"{long} of {len(texts)} responses are longer than {most} tokens: their end is read")


def describe(step: int, total: int, metrics: dict[str, Any]) -> str:
    """Say an evaluation in one line."""
    held_out = {name.rpartition("/")[2]: value for name, value in metrics.items() if name.startswith("eval/validation")}
    return (
        f"step {step}/{total}  train accuracy {metrics['eval/train/pair_accuracy']:.3f}  held-out pairs: "
        "loss {pair_loss:.3f}  accuracy {pair_accuracy:.3f} ({pair_accuracy_low:.3f} to {pair_accuracy_high:.3f})  "
        "longer reply {longer_accuracy:.3f}".format(**held_out)
    )
