"""The release bundle that the mobile team pulls: artifacts, contract, golden vectors, model card and code snippets."""
