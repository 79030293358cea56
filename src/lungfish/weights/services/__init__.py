"""Where weights are published: the Hugging Face hub, GitHub, git repositories."""
