"""Hostile files and requests, made by chance, and what the server does with them."""
