"""The formats of labelled files: one file each, and the table of them in
`trainer/readers/reader.py`.
"""
