"""Will RFT work here? The report of a diagnosis, made from its run folder: `docs/preflight.md`."""

from analysis.preflight.report import report

__all__ = ["report"]
