"""Everything that speaks JSON-RPC, and the only holder of a key."""
