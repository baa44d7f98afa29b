"""Retrieval by descriptors; NumPy and SciPy only, FAISS and Milvus optional.

- `nearest`: exact nearest neighbours, in blocks of bounded memory.
- `ranking`: rankings of a database for each query, and their files.
- `indexes`: exact, FAISS and Milvus indexes that are searched and changed.
- `reranking`: query expansion, database augmentation, diffusion and others.
"""
