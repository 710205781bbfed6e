import json
import sys

import pytest
from paper_examples import claims, make_item

from lastbit.paper.results import Made, PaperResults
from lastbit.storage.files import DamagedError

MADE = Made(make_item().reproduce("smoke"), 2.5, {"threads": 1})


@pytest.fixture
def results(tmp_path):
    return PaperResults(tmp_path / "kept", "smoke")


def test_what_is_stored_comes_back(results):
    assert results.load(make_item()) is None
    results.save(make_item(), MADE)
    assert results.load(make_item()) == MADE


def test_a_result_of_other_settings_or_of_another_format_is_none(results):
    results.save(make_item(), MADE)
    assert results.load(make_item(n=5)) is None
    path = results.path(make_item())
    path.write_text(path.read_text().replace('"format": 2', '"format": 0'))
    assert results.load(make_item()) is None


def test_results_of_format_1_which_have_no_checksum_are_read(results):
    results.save(make_item(), MADE)
    path = results.path(make_item())
    old = {**json.loads(path.read_text()), "format": 1}
    del old["checksum"]
    path.write_text(json.dumps(old))
    assert results.load(make_item()) == MADE


def test_an_altered_result_and_an_altered_index_are_named(results):
    results.save(make_item(), MADE)
    path = results.path(make_item())
    path.write_text(path.read_text().replace('"seconds": 2.5', '"seconds": 2.4'))
    with pytest.raises(DamagedError, match=r"powers\.json does not match its checksum"):
        results.load(make_item())
    results.write_index({})
    index = results.root / "index.json"
    index.write_text(index.read_text().replace("smoke", "paper"))
    with pytest.raises(DamagedError, match=r"index\.json does not match its checksum"):
        PaperResults.reopen(results.root)


def test_another_process_is_kept_out_while_it_is_claimed(results, warm_python):
    ask = (
        "import sys; from lastbit.paper.results import PaperResults as P\nwith P(sys.argv[1], 'smoke').claimed(): pass"
    )
    with results.claimed():
        other = warm_python.run([sys.executable, "-c", ask, str(results.root)])
    assert "InUseError" in other.stderr
    assert str(results.root) in other.stderr.splitlines()[-1]
    with results.claimed():  # and what is there stays
        assert PaperResults.reopen(results.root).scale == "smoke"


def test_a_result_that_lacks_what_its_item_reads_is_none(results):
    """As one may that an earlier version stored."""
    lacking = {name: value for name, value in MADE.result.items() if name != "powers"}
    results.save(make_item(), Made(lacking, MADE.seconds, MADE.fingerprint))
    assert results.load(make_item()) is None


def test_a_damaged_result_is_named(results):
    results.save(make_item(), MADE)
    results.path(make_item()).write_text("{")
    with pytest.raises(ValueError, match=r"powers\.json is not valid JSON"):
        results.load(make_item())


def test_a_result_that_arrives_forgets_the_failure_before_it(results):
    path = results.save_failure(make_item(), "Traceback")
    assert path.read_text() == "Traceback"
    results.save(make_item(), MADE)
    assert not path.exists()


def test_the_index_names_the_scale_and_gives_claims_and_seconds(results):
    results.write_index({"powers": (MADE, claims(MADE.result))})
    index = json.loads((results.root / "index.json").read_text())
    assert index["scale"] == "smoke"
    (only,) = index["items"]
    assert (only["id"], only["scale"], only["seconds"]) == ("powers", "smoke", 2.5)
    assert [each["holds"] for each in only["claims"]] == [True, False, None]
    assert PaperResults.reopen(results.root).scale == "smoke"


def test_a_directory_of_another_scale_or_of_other_things_is_refused(results, tmp_path):
    results.check()
    results.write_index({})
    results.check()
    with pytest.raises(ValueError, match="holds results at scale 'smoke', not 'laptop': choose another directory"):
        PaperResults(results.root, "laptop").check()
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other files \(kept, mine.txt\) and no results of the paper"):
        PaperResults(tmp_path, "smoke").check()
    with pytest.raises(ValueError, match=r"holds no results of the paper: there is no index\.json in it"):
        PaperResults.reopen(tmp_path)
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(ValueError, match=r"index\.json is no index of the paper's results"):
        PaperResults.reopen(tmp_path)
