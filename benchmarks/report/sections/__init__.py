"""Sections of the page that show one part of the measurement or of curation."""
