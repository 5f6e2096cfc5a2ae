"""The report on a trained version: its metrics, how far they vary by chance, and where it fails.

The job collects the evidence (`report_input.py`), a short-lived child computes the report from it
(`python -m trainer.report`), and `page` shows it. Between them goes JSON: `Evidence`, `Report`.
"""
