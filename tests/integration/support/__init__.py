"""What the integration tests are made of: real brokers, a certificate authority, token keys, MQTT clients, the audit trail."""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # ports.py
