"""How an encoder is trained: recipes, views, losses, and what is fitted around it afterwards."""
