"""What the keeper says about itself: one function per event of the business, which logs and counts."""
