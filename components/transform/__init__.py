"""Transform: from encoded images to packed pixels, once."""
