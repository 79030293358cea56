"""The user stories of `lungfish weights`, one file for each."""
