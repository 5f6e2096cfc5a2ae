"""The `adapterd` command: arguments in, tables or JSON out.

Commands import what they need when they run, so that help appears at once.
"""
