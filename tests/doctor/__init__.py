"""The doctor at real proxies: the gateway, nginx, and a small proxy that can be wrong in exactly one way."""
