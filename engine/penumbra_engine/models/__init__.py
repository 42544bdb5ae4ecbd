"""Networks, one a file. They know nothing of training."""
