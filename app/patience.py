"""How long other machines may be silent before they are taken for gone."""

# Workers must hear of it before their timers, supervisors while there is time left to renew their
# leases. Only keepalives tell whether someone is there who was asked and does not answer.
POSTGRESQL = {
    "connect_timeout": 5,  # Seconds,
    "tcp_user_timeout": 6_000,  # milliseconds.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""Of libpq's connections."""

REDIS = {
    "socket_connect_timeout": 2,  # Seconds: what is put is found by its row, if not in time.
    "socket_timeout": 5,  # Longer than a blocking read, which is one.
    "socket_keepalive": True,
}
"""Of redis-py's connections."""
