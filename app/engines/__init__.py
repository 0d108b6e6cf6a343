"""Page images to lines, one file per engine."""
