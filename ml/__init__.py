"""Train, measure and explain the VGG19 that reads chest X-rays; plain Python that knows nothing of Django."""
