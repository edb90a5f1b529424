"""Deliveries: picked up, verified, unpacked safely, inventoried, and read."""
