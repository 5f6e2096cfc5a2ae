"""Monitors the engine: its port is watched, and it is probed when there is no traffic."""
