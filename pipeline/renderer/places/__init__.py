"""Backgrounds: four indoor and four outdoor places."""
