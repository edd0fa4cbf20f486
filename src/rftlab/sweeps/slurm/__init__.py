"""Arrays on a SLURM cluster: what is submitted, what the queue says, what became of it."""
