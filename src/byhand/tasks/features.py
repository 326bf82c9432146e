"""Features: an embedding or feature maps. They say nothing of an image that a line could hold; `byhand trace` shows them."""
