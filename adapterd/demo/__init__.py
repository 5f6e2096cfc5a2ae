"""The demo: trains, calls and swaps adapters on a server, and checks every claim it prints."""
