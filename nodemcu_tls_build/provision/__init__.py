"""Credentials into a flash that has its firmware already, or is to get it."""
