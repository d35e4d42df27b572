"""The best inputs at a cost: what is asked, closed forms, equal elasticities, draws, near-optimal ranges."""
