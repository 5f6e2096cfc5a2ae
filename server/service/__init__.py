"""The services that both transports call: one async class per resource. Knows no transport."""
