"""What was learned, as tables and in words: what `python -m analysis.learned` prints."""
