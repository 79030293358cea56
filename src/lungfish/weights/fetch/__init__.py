"""Files of weights onto this machine: license first, then the file, checked."""
