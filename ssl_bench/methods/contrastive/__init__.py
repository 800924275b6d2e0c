"""Methods that contrast an image with other images."""
