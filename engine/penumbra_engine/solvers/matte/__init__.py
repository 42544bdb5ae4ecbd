"""Matte: mattes learned on the shot itself, from a few that the artist finished."""
