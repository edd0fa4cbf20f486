"""The exact expected gradient of each input of a classifier, beside its reward std and the bounds of theorem 1."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rftlab.diagnostics import gradient_bound
from rftlab.loops.label_lab import LabelLab
from rftlab.ranges import Positive
from rftlab.streams import stream_seed


@dataclass(frozen=True, kw_only=True)
class LabelBound:
    """Measure a pretrained classifier; nothing is trained (Razin et al. 2024, theorem 1)."""

    inputs_per_group: Positive[int]

    def run(self, lab: LabelLab) -> dict[str, float]:
        """Write a case per input to `cases.parquet`.

        Returns:
            Median gradient norm of each group, and of all cases the largest ratio of the norm to each bound.
        """
        lab.network.eval()
        parts = [self._group(lab, name) for name in lab.session.bar(list(lab.task.groups), "groups")]
        cases = pd.concat(parts, ignore_index=True)
        metrics = {f"{name}/grad_norm": float(part["grad_norm"].median()) for name, part in cases.groupby("group")}
        for bound in ("bound_std", "bound_two_thirds"):
            metrics[f"{bound}/max_ratio"] = float((cases["grad_norm"] / cases[bound]).max())
        lab.session.run.save_cases(cases)
        lab.session.run.log(1, metrics)
        norms = ", ".join(f"{name} {metrics[f'{name}/grad_norm']:.2e}" for name in lab.task.groups)
        ratio = metrics["bound_std/max_ratio"]
        lab.session.describe(f"median gradient norm: {norms}; at most {ratio:.3f} of the bound by std")
        return metrics

    def _group(self, lab: LabelLab, name: str) -> pd.DataFrame:
        rng = np.random.default_rng(stream_seed(lab.session.seed, "bound", name))
        places = np.sort(rng.permutation(lab.task.groups[name].nonzero().squeeze(-1).cpu())[: self.inputs_per_group])
        found = gradient_bound(lab.network, lab.task.inputs[places], lab.task.rewards[places], lab.task.reward_range)
        return pd.DataFrame({"input_id": [f"train-{i}" for i in places], "group": name, **vars(found)})
