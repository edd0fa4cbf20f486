"""The end of every run on text: last evaluation, reward statistics, final model."""

from rftlab.loops.evaluation import evaluate, probe
from rftlab.loops.lab import Lab
from rftlab.models import save_pretrained_folder


def finish(lab: Lab, step: int) -> dict[str, float]:
    """Evaluate and keep the model under `final/`, a folder that transformers can load; returns the final metrics."""
    final = evaluate(lab, step) | probe(lab, "after", step)
    save_pretrained_folder(lab.policy, lab.session.run.folder / "final")
    return final
