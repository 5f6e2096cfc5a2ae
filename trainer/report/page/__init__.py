"""The report as a page: HTML without scripts, fonts or pictures from elsewhere, plots as inline
SVG. A pure function of the report's JSON.
"""
