"""Which runs figures and tables lack, and the commands that make them."""
