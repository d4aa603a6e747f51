"""Champions answer over HTTP: requests, batches, the page; what a model answers is in artifacts/prediction."""
