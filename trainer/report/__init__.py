"""The report on a trained version: what it reached, by how much it can be trusted, and where it
fails.

`evidence` is gathered where the job runs; a short-lived child judges it (`python -m
trainer.report`); `page` shows the result. Everything between them is plain JSON.
"""
