"""Faults are shown with the fixtures of the integration tests (and their environment: GUARD_BROKER, GUARD_BUILD)."""
import importlib.util
import sys
from pathlib import Path

INTEGRATION = Path(__file__).resolve().parents[1] / "integration"
sys.path.insert(0, str(INTEGRATION))
_spec = importlib.util.spec_from_file_location("integration_conftest", INTEGRATION / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items()
                  if name.startswith(("pytest_", "make_")) or name in ("redis", "pki", "issuer", "guardctl")})
