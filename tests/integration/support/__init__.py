"""What the integration tests are made of: real brokers, a certificate authority, token keys, MQTT clients, the audit trail."""
