"""The Lambda functions: one code asset, three entry points (`route`, `report`, `scale`) over one pure core."""
