"""What agents get: tools of a running server by the Model Context Protocol."""
