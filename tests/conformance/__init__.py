"""Raw bytes in, raw bytes out, over the gateway and over a tuned nginx, so that a difference is a table."""
