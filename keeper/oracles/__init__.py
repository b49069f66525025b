"""Price feeds: read at one block, judged in that block's own time."""
