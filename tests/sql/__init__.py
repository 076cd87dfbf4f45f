"""The SQL of docs/archive-sql.md, read from the page and run over archives by the engines that it is written for.

`fetch` gets the engines, `page` reads the statements, `archived` makes the archives, `engines` runs statements in a
process of the engines' own environment.
"""
