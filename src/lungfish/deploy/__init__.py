"""Turn a trained network into a bundle: artifacts, their proof, and the folder that ships."""
