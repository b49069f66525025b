"""From an unhealthy position to the plan that earns most, or to the reason why there is none."""
