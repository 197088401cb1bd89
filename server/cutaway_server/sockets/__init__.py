"""Thin WebSocket handlers: accept, parse, start one task, write what the service yields."""
