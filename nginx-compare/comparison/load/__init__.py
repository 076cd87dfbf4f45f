"""What loads a proxy: each module is one way to ask, and tells what was answered as an `Outcome`.

`wrk` is a closed loop over kept connections, `arrivals` an open loop at a fixed rate, `crowd` visitors with a
connection of their own, `idle` connections that only exist, `distance` a long way to the upstream. All but `wrk`
are ours and run as processes of their own, on the load's cores. None knows which proxy it asks.
"""
