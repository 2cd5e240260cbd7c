"""What experiments share: a workspace, training runs, the cost of a command, and the environment they ran in."""
