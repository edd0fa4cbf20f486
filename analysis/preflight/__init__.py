"""Will RFT work here? The report of a diagnosis, made from its run folder: `docs/preflight.md`."""

from analysis.preflight.report import report, report_all

__all__ = ["report", "report_all"]
