"""What both transports call: plain async objects by resource, every call with its `Caller`."""
