"""Sites, where adapters act: hooks around modules of the stock base, and the effects applied there.

Knows modules and spans of tokens; neither kinds of adapters nor steps.
"""
