"""What the handbook in ``docs/`` is made with; no part of the server."""
