"""The side towards the vendor: names to addresses, verified TLS, pooled connections, answers.

Must not know of clients, routes or what the exchanges mean.
"""
