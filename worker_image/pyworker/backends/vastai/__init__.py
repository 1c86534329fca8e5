"""Files written for the marketplace's own worker (`from vastai import Worker, WorkerConfig, …`), unmodified."""
