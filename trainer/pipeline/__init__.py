"""One job from its files to a published version: the order of the steps between submit and publish.

Joins all other folders of the trainer. Claims no jobs and ends none.
"""
