"""What every room needs: errors, names, hashing, files, the cache folder, progress. Imports nothing of Lungfish."""
