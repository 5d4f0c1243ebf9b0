"""Looks at images, and proposes a configuration for them."""
