"""Nuke runs this at every start, on render machines too: nothing is to be done there, results are plain Reads.

The folder is on Nuke's path so that menu.py is found, and gizmos/nuke beside it for the nodes.
"""
