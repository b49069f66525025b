"""Every account of a market in columns: exact integers, and the floats a screen reads. Knows no protocol."""
