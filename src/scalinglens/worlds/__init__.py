"""What is learned: worlds whose difficulty is known, shared by the solved theories and by training."""
