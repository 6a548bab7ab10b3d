"""dpcond."""
