"""What runs an artifact: one engine for each format, behind one protocol and one table."""
