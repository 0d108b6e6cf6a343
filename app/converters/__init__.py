"""Source files to pages, one file per family of formats."""
