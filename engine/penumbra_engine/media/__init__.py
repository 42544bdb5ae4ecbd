"""Picture sequences, colour spaces, windows and metadata. It knows nothing of torch models."""
