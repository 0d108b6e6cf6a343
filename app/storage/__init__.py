"""Where files are kept: in a folder, or in a bucket with copies of the last ones here."""
