"""What the figures lack."""
