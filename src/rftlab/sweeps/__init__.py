"""Sweeps on a cluster: what is asked of the scheduler, and what became of the jobs."""
