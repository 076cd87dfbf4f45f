"""The side towards clients: connections, requests in order, and the pumps that carry them.

`connection` reads requests and keeps them in order, `track` and `config` carry one request each,
`gateway` holds what the connections of one worker share. Decisions are asked of `policy` and
`exchange`; must not contain any.
"""
