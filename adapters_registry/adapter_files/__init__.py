"""Foreign adapter files, staged and read strictly: names, sizes, headers, settings as data.

Believes nothing that a file says of itself. Knows no version.
"""
