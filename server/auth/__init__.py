"""API keys, and the callers that they authenticate. The same for both transports."""
