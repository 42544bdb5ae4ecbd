"""Measures of pictures, mattes and layers against the truth: one protocol a file, named in every table."""
