"""Journal and ledger in one SQLite file; the only room that speaks SQL."""

from keeper.store.store import Store, open_store, set_aside

__all__ = ["Store", "open_store", "set_aside"]
