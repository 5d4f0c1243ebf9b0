"""Where what ships is kept: in a folder, or in an object store."""
