"""Shadow runs of a procedure: who is in which run, running and storing them, and the attacks that compare runs."""
