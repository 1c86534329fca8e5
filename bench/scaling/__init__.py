"""What scaling costs: time of a decision, calls to the marketplace and units of DynamoDB a tick."""
