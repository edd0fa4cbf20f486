"""What datasets share: reading from the hub or a mirror, subsets, checks of rows, classes, images, the tokenizer."""
