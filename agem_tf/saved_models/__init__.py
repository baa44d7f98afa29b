"""SavedModels of retrieval networks, and their signatures."""
