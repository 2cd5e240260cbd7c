"""Method head: frozen features, a head that carries over to photographs, and an expert for familiar pictures."""
