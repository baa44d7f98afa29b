"""A person's photos: the index over a folder, its queries and answers."""
