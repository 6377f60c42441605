"""How the embedded datasets are made: behaviour policies, their training, and collection."""
