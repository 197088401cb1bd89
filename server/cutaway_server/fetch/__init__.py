"""The only room with a door to the outside: guarded connections and byte ranges."""
