"""The HTML report, its Markdown summary and the comment on a pull request."""
