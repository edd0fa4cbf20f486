"""From words to a checked config: composition, types, scales, checks, and the wording of mistakes. No torch."""
