"""One file per point of the checklist, E1 to E20: `run(frame) -> Part`."""
