"""What happens off the live chain: the demo and the fork scenarios. Keepers are started as an operator starts them."""
