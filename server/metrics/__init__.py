"""The Prometheus metrics of the server; `docs/metrics.md` lists them all.

Knows no call: the parts that count or measure report to the observers here.
"""
