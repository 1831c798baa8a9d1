"""What a running process needs: Kafka clients, logs, metrics, health, signals."""
