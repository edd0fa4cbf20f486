"""Sizes of optimiser steps, and what the loop does around an algorithm's credit."""

from rftlab.loops.experience import whitened, with_rewards
from rftlab.types import Algorithm, Experience, Totals


def totals(tokens: int) -> Totals:
    """Make the totals of a step of so many tokens, in as many rows of one."""
    return Totals(tokens=tokens, rows=tokens, units=tokens)


def credited(algorithm: Algorithm, experience: Experience, kl_coef: float = 0.0) -> Experience:
    """Credit scores as they are, and whiten over the rollout if the algorithm asks for it, as the loop does."""
    assert experience.scores is not None
    beta = None if algorithm.kl is None else kl_coef
    done = algorithm.credit(with_rewards(experience, experience.scores, beta))
    return whitened(done) if algorithm.whiten_advantages == "rollout" else done
