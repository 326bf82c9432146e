"""Movement ops, which copy elements to other places: concat, pad, reshape, slice, transpose; and resize, which interpolates."""
