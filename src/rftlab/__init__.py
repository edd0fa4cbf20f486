"""rftlab: experiment sweeps for reinforcement finetuning of language models."""
