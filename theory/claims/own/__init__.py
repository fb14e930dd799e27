"""Owns the project's own statements, printed nowhere else; what the papers' statements rest on, and what they leave out."""
