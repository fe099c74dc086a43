"""A key and a certificate for each device of a list, made in parallel, each only once."""
