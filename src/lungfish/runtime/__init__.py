"""Load and run bundles: decoding, preprocessing, engines, prediction and measurement.

Needs only numpy, Pillow and one engine. The bundle format is defined here.
"""
