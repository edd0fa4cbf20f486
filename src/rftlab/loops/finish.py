"""The end of every run: last evaluation, reward statistics, final weights."""

from rftlab.loops.evaluation import evaluate, probe
from rftlab.loops.lab import Lab
from rftlab.models import save_weights


def finish(lab: Lab, step: int) -> dict[str, float]:
    """Evaluate and keep the weights under `final/`; returns the final metrics."""
    final = evaluate(lab, step) | probe(lab, "after", step)
    save_weights(lab.policy, lab.session.run.folder / "final" / "model.safetensors")
    return final
