"""Condensation methods: one file each, stages stated above, condensation from answers below."""
