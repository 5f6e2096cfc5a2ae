"""The invariants of the engine, over every family, kind and head in its tables."""
