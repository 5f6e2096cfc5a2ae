"""Commands about what a server holds: adapters, aliases, jobs, keys and tasks."""
