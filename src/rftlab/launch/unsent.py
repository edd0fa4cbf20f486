"""What an earlier command left unsent of runs that it finished: it was killed, or the tracking server was away."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from rftlab.sweeps.job import Job
from rftlab.sweeps.plan import Row
from rftlab.tracking.mirror import destination_of, lacks_end, mirroring


@contextmanager
def sending_unsent(rows: Iterable[Row]) -> Generator[None]:
    """Send the rest of the finished runs of a sweep while the block runs, and wait a bounded time for it at the end."""
    jobs = [row.job for row in rows if row.state == "done" and row.folder == row.job.folder and _is_due(row.job)]
    if not jobs:
        yield
        return
    with mirroring(jobs[0].config) as mirror:
        for job in jobs:
            mirror.begin(job.folder, destination_of(job.config))
            mirror.end(job.folder)
        yield


def _is_due(job: Job) -> bool:
    uri = job.config["tracking"]["uri"]
    return uri is not None and lacks_end(job.folder, uri)
