"""A worker without a model: it serves work of a known size at a known speed, to try a deployment before paying for one."""
