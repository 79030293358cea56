"""The user stories, one file each; every command and page calls one of them."""
