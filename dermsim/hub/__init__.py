"""What goes to the Hub, and how: assembled, proven, compared, sent in one commit."""
