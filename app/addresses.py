"""Addresses of the network: which are public, which are this machine's own."""

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def resolve(host: str, port: int) -> list[str]:
    """The addresses of ``host`` as the system sees them, odd spellings of numbers included.

    Raises OSError.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(ip: Address) -> bool:
    """Whether the address belongs to everybody's network, by the registries of IANA."""
    if isinstance(ip, ipaddress.IPv4Address):
        special = ip.is_multicast or ip.is_reserved or any(ip in net for net in _SPECIAL_IPV4)
        return ip.is_global and not special
    if ip in _NAT64:
        return is_public(_inside(ip))
    # ISATAP (RFC 5214): the last half is 0000:5efe or 0200:5efe and an IPv4 address.
    isatap = (int(ip) >> 32) & 0xFDFFFFFF == 0x5EFE
    tunnel = isatap or any(ip in network for network in _TUNNELS)
    return ip in _GLOBAL_UNICAST and ip.is_global and not ip.is_multicast and not tunnel


def is_local(ip: Address) -> bool:
    """Whether the address is one of this machine's; nothing is sent to find out."""
    if ip in _NAT64:
        ip = _inside(ip)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))  # Of UDP: only chooses the way.
            return str(probe.getsockname()[0]) == str(ip)
    except OSError:  # There is no way to it.
        return False


def _inside(ip: Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)


# Only these IPv6 addresses are given out to the public (RFC 4291, IANA registry) ...
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# ... except those that carry an IPv4 address for a relay to unpack: Teredo and kin, 6to4.
_TUNNELS = (ipaddress.IPv6Network("2001::/23"), ipaddress.IPv6Network("2002::/16"))
# How an IPv6-only network reaches IPv4 hosts (RFC 6052): as public as the address inside.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What ``is_global`` lets through: relays of 6to4 (RFC 7526) and, in old releases, protocol use.
_SPECIAL_IPV4 = (ipaddress.IPv4Network("192.88.99.0/24"), ipaddress.IPv4Network("192.0.0.0/24"))
