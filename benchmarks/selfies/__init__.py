"""The test sets: rendered selfies, and folders of photographs that training never sees."""
