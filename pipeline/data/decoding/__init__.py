"""Image files of any origin -> uint8 RGB pixels in sRGB, upright: the only decoder of Gossamer."""
