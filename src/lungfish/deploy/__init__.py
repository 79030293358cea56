"""From a trained head to a bundle: artefacts, their proof, and the folder that ships."""
