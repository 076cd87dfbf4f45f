"""Programs for the engines' own Python, which has nothing of the project's: scripts come as a list on standard input,
lists of rows go to standard output."""
