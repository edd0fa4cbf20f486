"""What the entry points share: typed schemas, checks before a run, identity and parents of a job, one-line errors."""
