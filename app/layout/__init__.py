"""Lines to paragraphs in reading order."""
