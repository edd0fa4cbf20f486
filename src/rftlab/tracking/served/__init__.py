"""What a logged model takes with it."""
