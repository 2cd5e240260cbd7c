"""Classification metrics, the statistics behind them, and the decision threshold. Nothing here reads or writes files."""
