"""Training: one loop for all networks, losses by name, samples made on the fly. Models know nothing of it."""
