"""The doctor: looks a gateway over from inside, by its settings, and any proxy from outside, as the browser SDK does.

It asks as others would, over connections of its own: nothing here runs on the path of a request. Must not know how
findings are shown.
"""
