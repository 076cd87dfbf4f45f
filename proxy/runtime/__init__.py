"""Where the gateway touches its process: clocks, tasks, sockets, children, deadlines.

Small mechanisms, each for one thing of the operating system or the event loop. They must not know of
HTTP, of routes, or of what the processes that they connect are for.
"""
