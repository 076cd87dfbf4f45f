"""Two real S3 servers for tests, on loopback: OpenStack Swift and the Ceph object gateway.

They complement one another. Swift (from PyPI) verifies checksums and speaks aws-chunked, but knows no policy, CORS or
lifecycle; Ceph's gateway (from Debian's packages, unpacked and not installed) knows these, and like many older servers
refuses aws-chunked over TLS. Both verify every signature and look at the clock. `fetch` gets them, `ceph` and `swift`
start them.
"""
