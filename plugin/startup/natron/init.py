"""Natron runs this at every start, headless too. Talks to no engine and shows nothing.

Natron asks `inspect.getargspec` about every callback, and Python 3.11 has it no more: without it no button of any
PyPlug works. What Natron reads of the answer is the names, and whether there are * and ** arguments.
"""

import inspect

if not hasattr(inspect, "getargspec"):
    inspect.getargspec = lambda function: tuple(inspect.getfullargspec(function)[:4])
