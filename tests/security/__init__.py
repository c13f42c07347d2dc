"""What attackers would try: nothing but a clear message comes of it."""
