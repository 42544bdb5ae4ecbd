"""The engine as a local service: HTTP in front, a queue in SQLite, the work in a process of its own."""
