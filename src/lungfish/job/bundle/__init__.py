"""Write the bundle of a training job: artifacts, their proof, and the report."""
