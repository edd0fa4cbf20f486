"""What was learned, in tables and words."""
