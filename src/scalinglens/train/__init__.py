"""Networks, trained: real transformers and perceptrons on worlds of known complexity (PyTorch)."""
