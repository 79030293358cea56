"""What a training job writes: artifacts, their proof, the report, and the folder that holds them."""
