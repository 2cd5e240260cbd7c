"""The review app: a local web page on which a person looks at images and keeps or drops them."""
