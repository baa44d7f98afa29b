"""Extraction: a network runs over photos at several scales."""
