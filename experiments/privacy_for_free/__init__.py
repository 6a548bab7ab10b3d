"""The debate "Privacy for free?" run from both sides: `python -m experiments.privacy_for_free --profile laptop`."""
