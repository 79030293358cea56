"""Talk to the services that publish weights: the Hugging Face hub, GitHub, git repositories."""
