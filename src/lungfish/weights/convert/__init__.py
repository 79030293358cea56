"""Convert tensors between the names of other libraries and ours."""
