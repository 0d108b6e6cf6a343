"""A self-hosted OCR server with the hosted service's endpoint."""

__version__ = "0.1.0"
