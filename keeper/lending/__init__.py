"""Lending protocols: how each one counts, how its state is read, how it is called."""
