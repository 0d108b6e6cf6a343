"""A self-hosted OCR server with the hosted service's endpoint."""
