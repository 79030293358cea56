"""Load and run bundles: decoding, preprocessing, engines, prediction and measurement.

Needs no extras, only the base install. The bundle format is defined here.
"""
