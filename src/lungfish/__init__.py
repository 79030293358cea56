"""Lungfish: a folder of labelled photos to a small image classifier that is proven on the artefact that ships."""

__version__ = "0.1.0.dev0"
