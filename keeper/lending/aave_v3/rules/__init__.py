"""The protocol's own integer arithmetic: pure, exact, one set for all revisions."""
