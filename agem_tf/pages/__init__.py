"""The HTML page of every command, and what is drawn on it."""
