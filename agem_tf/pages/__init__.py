"""The HTML page of all commands, and the charts and photos on it."""
