"""The `adapterd` command: reads arguments, prints tables or JSON.

Commands import their dependencies when they run, so that `--help` is fast.
"""
