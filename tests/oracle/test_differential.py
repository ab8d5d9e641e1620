"""The short form of run_differential.py for every test run; the full one is run by hand (run_differential.py --full)."""
import run_differential


def test_no_difference_to_the_oracle(capsys):
    code = run_differential.main(["--policies", "60", "11", "12", "13", "14"])
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert "0 differences" in shown
