"""x."""

from mutants.mutation import Mutation

MUTATIONS: dict[str, Mutation] = {}
