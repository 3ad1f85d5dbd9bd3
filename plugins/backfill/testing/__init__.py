"""What a package that adds a source needs to test it; imports pytest and the paper exchange."""
