"""Unpush takes back pushed notifications: sends ⋈ violations − results = revoke calls."""
