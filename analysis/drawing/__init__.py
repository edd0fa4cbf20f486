"""What figures and tables share: looks, titles, captions, labels, and how they are written."""
