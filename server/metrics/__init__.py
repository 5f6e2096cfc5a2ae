"""Every number the server shows to Prometheus; `docs/metrics.md` lists them all.

Knows no call: whatever counts or measures reports to an observer here.
"""
