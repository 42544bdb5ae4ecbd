"""Trimap Propagate: trimaps and mattes of all frames from a few trimaps."""
