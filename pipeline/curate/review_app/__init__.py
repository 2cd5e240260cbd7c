"""The desk: one local page on which a person looks at pictures and keeps or drops them."""
