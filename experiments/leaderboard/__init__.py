"""What accuracy a budget buys: rows to be measured, their results, and the tables and curves made of them."""
