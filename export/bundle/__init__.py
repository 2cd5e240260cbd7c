"""The release bundle that a mobile team pulls: artifacts, contract, golden vectors, model card and code snippets."""
