"""Services for the resources of a tenant: adapters, tasks, jobs, files, reports and models."""
