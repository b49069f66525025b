"""keeper: watches lending markets, sizes partial liquidations, sends them."""
