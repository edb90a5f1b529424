"""Pixels: read, decoded and measured once; written once, clean, and proved to be."""
