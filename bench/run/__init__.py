"""One cell: how it is planned, trained, scored and kept."""
