"""Classification metrics, the statistics behind them, and the decision threshold."""
