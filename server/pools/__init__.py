"""Thread pools for blocking work: one per kind of work, each with a share per tenant."""
