"""Wire formats of providers, one module each; `spoken` says whose is whose."""
