"""HTTP API, job queue and worker processes. It knows nothing of pixels."""
