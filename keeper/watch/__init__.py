"""Follows heads and keeps markets, venues and feeds true at one block hash."""
