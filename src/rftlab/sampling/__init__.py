"""How tokens are drawn: sampling with one reading of each prompt, greedy decoding, beam search."""
