"""Engines that run artifacts: one for each format, behind a common protocol."""
