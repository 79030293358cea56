"""Measure classifiers on labelled photos and render reports. Takes numpy arrays, returns numbers and pictures."""
