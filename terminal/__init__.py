"""The web terminal. Empty until its feature arrives."""
