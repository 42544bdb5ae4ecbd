"""The nodes as pipelines: a shot in, layers out, progress yielded. They know nothing of HTTP."""
