"""Law of secrets: a password in a state URL is refused by every command and said by none."""

import pytest
from click.testing import CliRunner

from luigi_tasks.cli import main
from tests.fixtures.campaigns import Place
from tests.fixtures.commands import BIN, lay_out, luigi_words, run_command

SECRET = "tr0ub4dor"
URL = f"postgresql://ada:{SECRET}@127.0.0.1:1/halo"
COMMANDS = (["state", "upgrade"], ["state", "rebuild"], ["state", "verify"], ["campaign", "list"], ["campaign", "delete", "x"], ["status"])


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words))
def test_a_password_in_the_url_stops_the_command_and_is_not_repeated(words: list[str]) -> None:
    result = CliRunner().invoke(main, [*words, "--state-url", URL])
    assert result.exit_code == 1
    assert "holds a password" in result.output
    assert SECRET not in result.output


def test_a_password_in_the_configuration_stops_the_pipeline_and_is_not_logged(place: Place) -> None:
    lay_out(place, lambda config: config["state"].update(url=URL))
    result = run_command(place.folder, luigi_words("RunCampaign", "--workers", "2"))
    assert result.returncode != 0
    assert "holds a password" in result.stdout
    assert SECRET not in result.stdout


def test_a_server_that_is_not_there_is_named_without_the_password_of_the_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    lay_out(place, lambda config: config["state"].update(url="postgresql://ada@127.0.0.1:1/halo"))
    result = run_command(place.folder, [str(BIN / "halo"), "state", "upgrade"])
    assert result.returncode == 1
    assert "postgresql+psycopg2://ada@127.0.0.1:1/halo cannot be reached" in result.stdout
    assert SECRET not in result.stdout
