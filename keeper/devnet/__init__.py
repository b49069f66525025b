"""Local chains with whole lending markets on them; used by the demo, the lab and the tests, never by the daemon.

What stands here may do what the live rooms may not: hold keys of throw-away accounts, broadcast through a node's
unlocked accounts, speak HTTP itself, and draw random numbers (seeded).
"""
