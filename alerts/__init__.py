"""Rules on what the gateway sees, evaluated by Celery. Empty until its feature arrives."""
