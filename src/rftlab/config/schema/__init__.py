"""Types of the config tree; the values live in `conf/`, with a comment per key.

Every field is mandatory (`MISSING`) unless null is a meaningful value, so that a value stands in one place only.
Importing this module costs no torch: composition, `--help` and tab completion stay quick.
"""

from hydra.core.config_store import ConfigStore

from rftlab.config.schema import algo, data, heuristic, model, optimizer, run


def register() -> None:
    """Store every schema under the hidden group `schema`, where the files of `conf/` name it."""
    store = ConfigStore.instance().store
    nodes: dict[str, dict[str, type]] = {
        "run": {"run": run.RunConfig},
        "model": {"model": model.ModelConfig, "labels": model.LabelModelConfig, "cases": model.CasesModelConfig},
        "network": {"mlp": model.MLPConfig, "resnet": model.ResNetConfig, "bert": model.BertConfig},
        "data": {"data": data.DataConfig, "labels": data.LabelDataConfig, "cases": data.CasesDataConfig},
        "loader": {"dataset": data.LoaderConfig, "corpus": data.CorpusConfig, "labels": data.LabelLoaderConfig},
        "decoding": {"sampling": data.SamplingConfig, "beam": data.BeamSearchConfig},
        "reward": {"rouge": data.RougeConfig, "sentiment": data.SentimentConfig},
        "algo": {
            "sft": algo.SFTConfig,
            "ppo": algo.PPOConfig,
            "apa": algo.APAConfig,
            "expected_reinforce": algo.ExpectedReinforceConfig,
            "reinforce": algo.ReinforceConfig,
            "diagnose": algo.DiagnoseConfig,
            "untrained": algo.UntrainedConfig,
        },
        "loop": {
            "online": algo.OnlineLoopConfig,
            "supervised": algo.SupervisedLoopConfig,
            "epochs": algo.EpochsConfig,
            "time_separation": algo.TimeSeparationConfig,
            "ppo_gradient": algo.PPOGradientConfig,
            "softmax_bound": algo.SoftmaxBoundConfig,
            "label_bound": algo.LabelBoundConfig,
        },
        "optimizer": {"optimizer": optimizer.OptimizerConfig},
        "build": {"adamw": optimizer.AdamWConfig, "adam": optimizer.AdamConfig, "sgd": optimizer.SGDConfig},
        "heuristic": {
            "none": heuristic.NoHeuristic,
            "learning_rate": heuristic.LearningRateHeuristic,
            "temperature": heuristic.TemperatureHeuristic,
            "entropy": heuristic.EntropyHeuristic,
            "partial_sft": heuristic.PartialSFTHeuristic,
        },
    }
    for group, options in nodes.items():
        for name, node in options.items():
            store(group=f"schema/{group}", name=name, node=node)
