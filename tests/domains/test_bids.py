"""The description of a folder of results, when several processes write it."""

import json
from concurrent.futures import ThreadPoolExecutor

from medrev.domains.bids import describe_dataset


def test_links_of_all_that_write_at_once_are_there(tmp_path):
    links = {f"cohort{n}": f"../cohort{n}" for n in range(8)}
    with ThreadPoolExecutor(8) as pool:
        for one in links.items():
            pool.submit(describe_dataset, tmp_path, "Results", links=dict([one]))
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetLinks"] == links
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".bidsignore",
        "dataset_description.json",
    ]
