"""The settings of a training job: names, defaults, ranges, and how their values are parsed.

Knows no file, no base and no engine.
"""
