"""What is done with an embedding. The tasks do not know each other."""
