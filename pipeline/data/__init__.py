"""Records and how they are stored: rows, shards of images, hashes, preprocessing and folders of photographs."""
