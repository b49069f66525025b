"""Aave V3, all revisions, and the bundled market that shares its surface."""
