"""Ways out of the process. Nothing else broadcasts."""
