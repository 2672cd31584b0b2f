"""Rules on what the gateway sees: when somebody is to be told, and of what."""
