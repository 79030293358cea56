"""One look at every photo: what it shows, its features, its copies and scenes."""
