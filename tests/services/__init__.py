"""Real services for the tests: a PostgreSQL server, an S3 server, and faults on the way to them."""
