"""scalinglens."""
