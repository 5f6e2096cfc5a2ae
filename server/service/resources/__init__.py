"""What a tenant has: adapters, tasks, jobs, files, reports; and the models it can name."""
