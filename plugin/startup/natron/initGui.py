"""Natron runs this when it starts with windows. Talks to no engine; if Penumbra fails, Natron starts all the same."""

import traceback

try:
    import penumbra.hosts.natron

    penumbra.hosts.natron.install()
except Exception:
    traceback.print_exc()
    print("Penumbra: its nodes show and render their results, their buttons do not work in this session")
