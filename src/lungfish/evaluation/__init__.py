"""Figures of a classifier on labelled photos, and the report that shows them. Numpy in, numbers and pictures out."""
