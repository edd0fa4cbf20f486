"""MLflow as a mirror of run folders, and the server that a lab shares."""
