"""The node Clean Plate Matte: a subject and its effects, against the same view without them."""
