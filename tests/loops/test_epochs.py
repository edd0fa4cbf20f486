"""Training of classifiers: exact statistics, gradients of groups, resume, and what RFT and SFT do with a small std."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from rftlab.algorithms.expected_reinforce import ExpectedReinforce
from rftlab.algorithms.reinforce import Reinforce
from rftlab.algorithms.sft import SFT
from rftlab.data.parts.label_sets import assign, reward_table
from rftlab.diagnostics.bounds import reward_moments
from rftlab.errors import UserError
from rftlab.loops import checkpoint
from rftlab.loops.bounds import LabelBound
from rftlab.loops.epochs import Epochs, backward_by_group
from rftlab.loops.lab import OptimizerSpec
from rftlab.loops.label_lab import LabelLab, LabelTask
from rftlab.loops.session import Session
from rftlab.models.networks import bert, mlp, resnet
from rftlab.runs import Run, read_run
from rftlab.stop import StopFlag, StopRequested
from rftlab.types import LabelAlgorithm, LabelBatch, LabelSet

CLASSES, N = 5, 60


def images() -> LabelSet:
    """Make noisy images of five classes that a small network tells apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % CLASSES
    prototypes = torch.randn(CLASSES, 1, 4, 4, generator=generator)
    return LabelSet(inputs=prototypes[labels] + 0.3 * torch.randn(N, 1, 4, 4, generator=generator), labels=labels)


@pytest.fixture
def make_lab(tmp_path: Path) -> Callable[..., LabelLab]:
    """Make a lab on the run folder `tmp_path/NAME`; calling it again resumes that run with fresh networks."""

    def make(name: str, *, phase: str = "finetuning", start: Path | None = None, lr: float = 1e-2) -> LabelLab:
        data = images()
        sets = assign(data.labels, CLASSES, 3, 0.2, 0)
        table = reward_table(sets.finetuning, sets.modified, CLASSES, correct=1.0, wrong=-1.0, wrong_modified=-1.0)
        network = mlp(hidden=[16], example=data, classes=CLASSES, generator=torch.Generator().manual_seed(1))
        if start is not None:
            network.load_state_dict(load_file(start / "final" / "model.safetensors"))
        tuning = phase == "finetuning"
        return LabelLab(
            task=LabelTask(
                name="noise",
                inputs=network.encode(data),
                targets=sets.finetuning.unsqueeze(-1) if tuning else sets.pretraining,
                rewards=table,
                groups={"small_std": sets.modified, "large_std": ~sets.modified} if tuning else {},
                reward_range=(-1.0, 1.0),
                test_inputs=network.encode(data),
                test_targets=data.labels.unsqueeze(-1),
                test_rewards=table,
            ),
            network=network,
            optimizer=OptimizerSpec(
                build=partial(torch.optim.Adam), lr=lr, schedule="constant", warmup_steps=0, max_grad_norm=None
            ),
            evaluate_every=5,
            session=Session(
                run=Run.claim(tmp_path / name, {"seed": 0}), seed=0, checkpoint_every=3, progress=False,
                describe=lambda line: None, stop=StopFlag(),
            ),
        )  # fmt: skip

    return make


def epochs(n: int = 6, measure_every: int = 1) -> Epochs:
    return Epochs(epochs=n, batch_size=16, measure_every=measure_every)


def test_moments_of_a_hand_computed_case() -> None:
    mean, std, _ = reward_moments(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[1.0, -1.0]]))
    assert mean.item() == pytest.approx(-0.5)
    assert std.item() == pytest.approx(0.75**0.5)  # 1 - V^2 for rewards of +-1


def test_the_learning_rate_follows_optimiser_steps_and_not_epochs(
    make_lab: Callable[..., LabelLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab("warm")
    seen: list[tuple[int, int]] = []
    lr_at = OptimizerSpec.lr_at

    def noted(spec: OptimizerSpec, step: int, total: int) -> float:
        seen.append((step, total))
        return lr_at(spec, step, total)

    monkeypatch.setattr(OptimizerSpec, "lr_at", noted)
    epochs(2).run(lab, SFT())
    steps = 2 * 4  # 60 inputs in minibatches of 16
    assert seen == [(step, steps) for step in range(1, steps + 1)]


def test_the_gradients_of_groups_add_up_to_that_of_the_batch_also_under_batch_normalisation() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    data = images()
    first = torch.arange(N) < 7
    groups = {"small": first, "large": ~first}

    def loss() -> torch.Tensor:
        return -network(data.inputs).log_softmax(-1).gather(-1, data.labels.unsqueeze(-1)).squeeze(-1)

    norms = backward_by_group(network, loss(), groups)
    grouped = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    loss().mean().backward()
    for own, whole in zip(grouped, [p.grad for p in network.parameters()], strict=True):
        torch.testing.assert_close(own, whole, rtol=1e-4, atol=1e-7)
    network.zero_grad()
    loss()[first].mean().backward()
    alone = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm()
    assert norms["small"] == pytest.approx(alone.item(), rel=1e-4)


@pytest.mark.parametrize("algorithm", [SFT(), ExpectedReinforce(), Reinforce()], ids=["sft", "expected", "sampled"])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    make_lab: Callable[..., LabelLab], algorithm: LabelAlgorithm
) -> None:
    whole = make_lab("whole")
    final = epochs().run(whole, algorithm)
    broken = make_lab("broken")
    broken.session.stop.request("now")
    with pytest.raises(StopRequested):
        epochs().run(broken, algorithm)
    broken.session.run.stop()
    assert [path.name for path in (broken.session.run.folder / "checkpoints").iterdir()] == ["step_00000001.pt"]
    resumed = make_lab("broken")
    assert epochs().run(resumed, algorithm) == final
    weights = [load_file(lab.session.run.folder / "final" / "model.safetensors") for lab in (whole, resumed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("n", [1, 6])
def test_a_run_on_labels_that_diverges_ends_in_three_parts(make_lab: Callable[..., LabelLab], n: int) -> None:
    lab = make_lab("broken", lr=1e30)
    taken = []
    lab = replace(lab, optimizer=replace(lab.optimizer, build=partial(watched, taken)))
    with pytest.raises(UserError, match=r"optimiser step \d; expected a finite number; change optimizer\.lr"):
        Epochs(epochs=n, batch_size=N, measure_every=1).run(lab, SFT())  # a single step, or one and then broken ones
    assert len(taken) == 1 and all(taken)
    assert not (lab.session.run.folder / "final").exists() and checkpoint.latest(lab.session.run.folder) is None
    assert {step for step, name, _ in read_run(lab.session.run.folder).metrics() if name.startswith("eval/")} == {0}


def watched(taken: list[bool], params: Iterable[nn.Parameter], *, lr: float) -> torch.optim.Optimizer:
    """Build an Adam that notes of each step whether its gradients are numbers."""
    parameters = list(params)
    optimizer = torch.optim.Adam(parameters, lr=lr)
    optimizer.register_step_pre_hook(
        lambda *_: taken.append(all(bool(p.grad.isfinite().all()) for p in parameters if p.grad is not None))
    )
    return optimizer


def test_what_is_logged_of_an_epoch_is_from_before_its_updates(make_lab: Callable[..., LabelLab]) -> None:
    lab = make_lab("still", lr=1e-12)  # nothing moves, so all epochs and the evaluation must say the same
    epochs().run(lab, ExpectedReinforce())
    logged = {(step, name): value for step, name, value in read_run(lab.session.run.folder).metrics()}
    for group in ("small_std", "large_std"):
        assert logged[1, f"{group}/reward"] == pytest.approx(logged[0, f"eval/{group}/reward"], abs=1e-5)
        assert logged[6, f"{group}/reward"] == pytest.approx(logged[1, f"{group}/reward"], abs=1e-5)
        assert logged[1, f"{group}/objective"] == pytest.approx(logged[1, f"{group}/reward"], abs=1e-6)
        ratio = logged[1, f"{group}/grad_norm"] / logged[1, f"{group}/grad_norm_relative"]
        assert ratio == pytest.approx(logged[1, "param/norm"], rel=0.05)
    assert logged[1, "policy/loss"] == pytest.approx(-logged[1, "reward/mean"], abs=1e-6)


def test_unmeasured_epochs_train_as_measured_ones_do(make_lab: Callable[..., LabelLab]) -> None:
    finals = [epochs(4, every).run(make_lab(f"every{every}"), SFT()) for every in (1, 4)]
    assert finals[0] == pytest.approx(finals[1], rel=1e-4, abs=1e-5)


def test_one_loss_serves_one_gold_label_and_several() -> None:
    logprobs = torch.randn(4, CLASSES, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    rest = {"rewards": torch.zeros(4, CLASSES), "noise": torch.zeros(4)}
    one = SFT().label_loss(LabelBatch(logprobs=logprobs, targets=torch.zeros(4, 1, dtype=torch.long), **rest))
    assert torch.equal(one, -logprobs[:, 0])
    both = SFT().label_loss(LabelBatch(logprobs=logprobs, targets=torch.tensor([[0, 2]]).repeat(4, 1), **rest))
    torch.testing.assert_close(both, -(logprobs[:, 0] + logprobs[:, 2]) / 2)


def test_the_sampled_gradient_is_that_of_the_expected_reward_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(CLASSES, generator=generator, dtype=torch.float64).float().requires_grad_()
    rewards, n = torch.randn(CLASSES, generator=generator), 200_000

    def gradient(algorithm: LabelAlgorithm, rows: int) -> torch.Tensor:
        batch = LabelBatch(
            logprobs=logits.log_softmax(-1).expand(rows, -1), rewards=rewards.expand(rows, -1),
            targets=torch.zeros(rows, 1, dtype=torch.long), noise=torch.rand(rows, generator=generator),
        )  # fmt: skip
        return torch.autograd.grad(algorithm.label_loss(batch).mean(), logits)[0]

    exact = gradient(ExpectedReinforce(), 1)
    probs = logits.detach().softmax(-1)
    torch.testing.assert_close(exact, -probs * (rewards - (probs * rewards).sum()))  # p (r - V), section 1.4
    torch.testing.assert_close(gradient(Reinforce(), n), exact, rtol=0.0, atol=5 * 1.5 / n**0.5)


def test_rft_fails_where_the_std_is_small_and_sft_does_not(make_lab: Callable[..., LabelLab]) -> None:
    pretraining = make_lab("pretraining", phase="pretraining")
    epochs(300).run(pretraining, SFT())
    start = pretraining.session.run.folder
    rft = epochs(200).run(make_lab("rft", start=start), ExpectedReinforce())
    sft = epochs(200).run(make_lab("sft", start=start), SFT())
    assert rft["eval/large_std/reward"] > 0.9
    assert rft["eval/small_std/reward"] < 0.0
    assert min(sft["eval/large_std/reward"], sft["eval/small_std/reward"]) > 0.9


def test_bounds_of_a_pretrained_classifier_hold_and_tell_the_groups_apart(make_lab: Callable[..., LabelLab]) -> None:
    pretraining = make_lab("pretraining", phase="pretraining")
    epochs(300).run(pretraining, SFT())
    lab = make_lab("bounds", start=pretraining.session.run.folder)
    final = LabelBound(inputs_per_group=8).run(lab)
    cases = read_run(lab.session.run.folder).cases()
    assert dict(cases["group"].value_counts()) == {"small_std": 8, "large_std": 8}
    assert (cases["grad_norm"] <= cases["bound_std"]).all()
    assert final["small_std/grad_norm"] < 0.2 * final["large_std/grad_norm"]


def test_pairs_are_padded_and_cut_without_changing_what_is_read() -> None:
    sizes = {"hidden_size": 16, "layers": 1, "heads": 2, "classes": 3, "hub_mirror": None}
    network = bert(
        tokenizer="asset:tokenizer", max_tokens=12, **sizes, generator=torch.Generator().manual_seed(0)
    ).eval()
    pairs = (("a dog", "the dog runs"), ("one two three four five six seven eight nine ten", "short"))
    encoded = network.encode(LabelSet(inputs=pairs, labels=torch.zeros(2, dtype=torch.long)))
    ids, segments, mask = encoded.unbind(1)
    assert int(mask[1].sum()) == 12  # cut, the longer sentence alone
    end = network.tokenizer.eos_token_id
    assert (ids[:, 0] == end).all() and ((ids == end) & (mask == 1)).sum(-1).tolist() == [3, 3]
    assert segments[0][mask[0] == 1].diff().tolist().count(1) == 1
    alone = network.encode(LabelSet(inputs=pairs[:1], labels=torch.zeros(1, dtype=torch.long)))
    torch.testing.assert_close(network(alone)[0], network(encoded)[0])


def test_a_resnet_18_has_the_parameters_of_the_original() -> None:
    data = LabelSet(inputs=torch.zeros(2, 3, 32, 32), labels=torch.zeros(2, dtype=torch.long))
    network = resnet(
        width=64, depths=[2, 2, 2, 2], example=data, classes=1000, generator=torch.Generator().manual_seed(0)
    )
    assert sum(p.numel() for p in network.parameters()) == 11_689_512  # He et al. 2016, with 1,000 labels
    assert network(data.inputs).shape == (2, 1000)
