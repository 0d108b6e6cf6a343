"""A server for developers of clients: the real HTTP application without engines and programs."""
