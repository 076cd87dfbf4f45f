"""Proves of the files in deploy/ what can be proved without a container engine, a cluster or a running systemd: their
own tools and schemas accept them, and their figures fit the gateway's settings and the code."""
