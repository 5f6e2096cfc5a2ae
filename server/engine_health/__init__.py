"""Whether the engine process answers: watched at its port, probed where there is no traffic."""
