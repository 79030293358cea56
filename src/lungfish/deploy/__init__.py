"""From a trained head to a bundle: artifacts, their proof, and the folder that ships."""
