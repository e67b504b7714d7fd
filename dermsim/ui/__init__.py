"""The Gradio app: drawing, callbacks, tabs and the page that holds them."""
