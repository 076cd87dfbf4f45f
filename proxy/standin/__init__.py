"""The stand-in vendor: a small upstream that records every byte and misbehaves on command.

Used by the demo, the tests and the benchmarks. It shares no code with the gateway, so that both
can't be wrong in the same way. The way of a request: `listener` accepts, `connection` reads it with
`head` and `body`, `behaviour` picks an action, `actions` (with `presets` and `answers`) turns it into
`steps`, `player` plays these on the `wire`, `records` remembers, `control` tells and takes orders.
`site` is what the connections of a listener share, `departures` notices clients that leave unread
connections, `server` composes all of it.
"""
