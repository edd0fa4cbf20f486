"""Sweeps: which jobs are missing, running them in slots of this machine or as SLURM arrays, and what became of them."""
