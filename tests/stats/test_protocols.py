import pytest

from hapsight.stats.nulls import TESTS
from hapsight.stats.protocols import PROTOCOLS, headlines, protocol_named


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_headlines_are_of_the_protocol(protocol):
    found = headlines(protocol)
    assert f"across_people_{protocol.statistic}_mean" in found
    assert TESTS[protocol.test] in found["significant"]
    own = f"significant.{protocol.test}"
    assert set(found) >= {f"significant.{test}" for test in TESTS} - {own}
    assert own not in found, "it would be printed twice"


def test_each_study_has_its_statistic_and_test():
    assert (PROTOCOLS["sasse2023"].statistic, PROTOCOLS["sasse2023"].test) == ("pearson", "sasse2023")
    assert (PROTOCOLS["huang2023"].statistic, PROTOCOLS["huang2023"].test) == ("spearman", "empirical")
    assert "share_negative_spearman" in headlines(PROTOCOLS["huang2023"])


@pytest.mark.parametrize("name", [None, "of the future"])
def test_an_unknown_protocol_reads_as_the_default(name):
    assert protocol_named(name).name == "default"
