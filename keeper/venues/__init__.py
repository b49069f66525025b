"""Where seized collateral is sold: pool state mirrored from the chain, quoted with exact integers."""
