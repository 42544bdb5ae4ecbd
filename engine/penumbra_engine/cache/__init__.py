"""The content-addressed store of per-shot stages."""
