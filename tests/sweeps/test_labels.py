"""What tells the runs of a sweep apart is written as one would type it."""

from rftlab.sweeps.labels import labels


def test_a_value_is_written_as_on_the_command_line():
    configs = {
        "a": {"algo": {"loss": {"target": None, "whiten": True}}},
        "b": {"algo": {"loss": {"target": 6.0, "whiten": True}}},
        "c": {"algo": {"loss": {"target": 6.0, "whiten": False}}},
    }
    assert labels(dict.fromkeys(configs, "ppo"), configs) == {
        "a": "ppo algo.loss.target=null algo.loss.whiten=true",
        "b": "ppo algo.loss.target=6 algo.loss.whiten=true",
        "c": "ppo algo.loss.target=6 algo.loss.whiten=false",
    }
