"""Documents to files, one file per format."""
