"""What a checkpoint can do: figures with intervals, and the card and tables made of them."""
