"""The training job: photos in, proven bundle out."""
