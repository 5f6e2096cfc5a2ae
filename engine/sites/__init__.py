"""Where adapters act: hooks around modules of the stock base, and what acts there.

Knows modules and spans of tokens; neither kinds of adapters nor steps.
"""
