"""From run folders to figures: `load` reads, `stats` computes, `figures` draws, `save` writes."""
