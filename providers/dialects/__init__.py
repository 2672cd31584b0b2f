"""Wire formats of providers, one module each."""

SPOKEN = frozenset({"openai"})
"""Those that can be called; a provider of another one is dropped by the plan with that reason."""
