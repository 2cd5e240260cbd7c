"""Classification metrics, the statistics behind them, and the decision threshold: pure functions, no files."""
