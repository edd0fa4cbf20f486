"""Judges of two responses to one prompt: a reward model, a local language model, an endpoint; a file each."""
