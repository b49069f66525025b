"""Plans to the chain: gate, nonces, signing, replacing, receipts, recovery. The only room that picks a nonce."""
