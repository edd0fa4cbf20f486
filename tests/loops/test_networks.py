"""The networks of a run: what an algorithm asks for, and nothing else, in memory, in the state and in the gradient."""

from collections.abc import Callable

import pytest
import torch

from rftlab.loops.networks import NetworkSet, Numerics, trunk_mib
from rftlab.loops.update import trim
from rftlab.models import Policy, freeze_below, value_function
from rftlab.models.trunk import blocks_of
from rftlab.types import Experience, Needs

EVERYTHING = Needs(reference=True, value=True, old_logprobs=True, lagged_every=2)
NO_VALUE = Needs(reference=True, old_logprobs=True, lagged_every=2)


def network_set(policy: Policy, needs: Needs, microbatch_size: int = 2) -> NetworkSet:
    value = value_function(policy, "separate", "mlp", torch.Generator().manual_seed(0)) if needs.value else None
    return NetworkSet(policy, value, needs, Numerics(microbatch_size=microbatch_size))


@pytest.fixture(params=["tiny_gpt2", "tiny_t5"])
def make_policy(request: pytest.FixtureRequest) -> Callable[..., Policy]:
    return request.getfixturevalue(request.param)


def experience(policy: Policy, temperature: float = 0.7) -> Experience:
    prompt_ids, prompt_mask = policy.encode_prompts(["ab", "c", "def"], 8, "left")
    response_ids, response_mask = policy.encode_targets(["xy", "z", "pqr", "", "st"], 6, True)
    return Experience(
        prompt_ids=prompt_ids,
        prompt_mask=prompt_mask,
        response_ids=response_ids,
        response_mask=response_mask,
        prompt_index=torch.tensor([0, 0, 1, 2, 2]),
        unit=torch.arange(5),
        scores=torch.arange(5.0),
        temperature=temperature,
    )


def move(networks: NetworkSet) -> None:
    with torch.no_grad():
        for parameter in networks.policy.parameters():
            parameter.add_(0.01)


def test_rows_take_their_prompts_and_columns_with_them(make_policy):
    whole = experience(make_policy()).with_(advantages=torch.arange(10.0).view(5, 2))
    part = whole.rows(torch.tensor([4, 0, 3]))
    assert part.scores.tolist() == [4.0, 0.0, 3.0] and part.unit.tolist() == [4, 0, 3]
    assert part["advantages"].tolist() == [[8.0, 9.0], [0.0, 1.0], [6.0, 7.0]]
    assert len(part.prompt_ids) == 2
    for row, original in zip(range(3), (2, 0, 2), strict=True):
        assert torch.equal(part.prompt_ids[part.prompt_index[row]], whole.prompt_ids[original])
    assert set(whole.columns) == {"advantages"}, "with_ leaves the original alone"


@pytest.mark.parametrize(
    ("needs", "columns"),
    [
        (Needs(), set()),
        (Needs(old_logprobs=True), {"old_logprobs"}),
        (Needs(reference=True), {"ref_logprobs"}),
        (Needs(lagged_every=1), {"lagged_logprobs"}),
        (EVERYTHING, {"old_logprobs", "ref_logprobs", "values", "lagged_logprobs"}),
    ],
)
def test_the_columns_are_those_that_were_asked_for(make_policy, needs, columns):
    policy = make_policy()
    assert set(network_set(policy, needs).annotate(experience(policy)).columns) == columns


def test_a_value_free_set_holds_trains_and_stores_the_policy_alone(make_policy):
    policy = make_policy()
    networks = network_set(policy, Needs(old_logprobs=True))
    assert {id(p) for p in networks.parameters()} == {id(p) for p in policy.parameters()}
    assert all(name.startswith("policy.") for name in networks.state_dict())
    assert networks.reference is None and networks.value is None and networks.lagged is None


def test_the_reference_is_the_start_and_neither_trained_nor_stored(make_policy):
    policy = make_policy()
    networks = network_set(policy, Needs(reference=True, old_logprobs=True))
    before = networks.annotate(experience(policy))
    assert torch.equal(before["ref_logprobs"], before["old_logprobs"])
    move(networks)
    after = networks.annotate(experience(policy))
    assert torch.equal(after["ref_logprobs"], before["ref_logprobs"])
    assert not torch.allclose(after["old_logprobs"], before["old_logprobs"])
    assert len(networks.state_dict()) == len(policy.state_dict())


def test_the_lagged_copy_follows_every_so_many_iterations_and_survives_a_checkpoint(make_policy):
    policy = make_policy()
    networks = network_set(policy, Needs(lagged_every=2, old_logprobs=True))
    start = networks.annotate(experience(policy))["lagged_logprobs"]
    move(networks)
    networks.after_iteration(1)
    assert torch.equal(networks.annotate(experience(policy))["lagged_logprobs"], start)
    state = {name: value.clone() for name, value in networks.state_dict().items()}
    networks.after_iteration(2)
    now = networks.annotate(experience(policy))
    assert torch.equal(now["lagged_logprobs"], now["old_logprobs"])
    again = network_set(make_policy(seed=5), Needs(lagged_every=2))
    again.load_state_dict(state)
    assert torch.equal(again.annotate(experience(policy))["lagged_logprobs"], start)
    assert not any(p.requires_grad for p in networks.lagged.parameters())


def test_start_lagged_copy_and_policy_of_today_are_three_networks(make_policy):
    policy = make_policy()
    networks = network_set(policy, EVERYTHING)
    start = networks.annotate(experience(policy))["old_logprobs"]
    move(networks)
    networks.after_iteration(2)
    lagging = networks.annotate(experience(policy))["old_logprobs"]
    move(networks)
    now = networks.annotate(experience(policy))
    assert torch.equal(now["ref_logprobs"], start) and torch.equal(now["lagged_logprobs"], lagging)
    assert not torch.allclose(start, lagging) and not torch.allclose(lagging, now["old_logprobs"])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_columns_do_not_depend_on_the_microbatches_and_carry_no_graph(make_policy, size):
    policy = make_policy()
    whole = network_set(policy, EVERYTHING, 5).annotate(experience(policy))
    parts = network_set(policy, EVERYTHING, size).annotate(experience(policy))
    for name, column in parts.columns.items():
        torch.testing.assert_close(column, whole[name], atol=1e-5, rtol=0)
        assert not column.requires_grad


def test_all_networks_read_at_the_temperature_of_the_sampling(make_policy):
    policy = make_policy()
    cold, hot = (network_set(policy, EVERYTHING).annotate(experience(policy, t)) for t in (0.7, 1.0))
    for name in ("old_logprobs", "ref_logprobs", "lagged_logprobs"):
        assert not torch.allclose(cold[name], hot[name])
        assert torch.equal(cold[name], cold["old_logprobs"])
    assert torch.equal(cold["values"], hot["values"])


@pytest.mark.parametrize("size", [2, 5])
def test_a_reference_on_the_frozen_trunk_equals_the_full_copy_bit_for_bit(make_policy, size):
    columns = []
    for share in (True, False):
        policy = make_policy()
        freeze_below(policy, 1)
        networks = NetworkSet(policy, None, NO_VALUE, Numerics(microbatch_size=size), share=share)
        with torch.no_grad():
            for parameter in policy.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05)
        columns.append(networks.annotate(experience(policy)))
    shared, copied = columns
    for name in ("old_logprobs", "ref_logprobs", "lagged_logprobs"):
        assert torch.equal(shared[name], copied[name]), name
    assert not torch.allclose(shared["old_logprobs"], shared["ref_logprobs"])
    assert trunk_mib(copied) is None and trunk_mib(shared) > 0


def test_updates_read_the_trunk_of_the_rollout_also_where_padding_was_trimmed(make_policy):
    policy = make_policy()
    freeze_below(policy, 1)
    networks = NetworkSet(policy, None, NO_VALUE, Numerics(microbatch_size=5))
    whole = networks.annotate(experience(policy))
    plain = NetworkSet(policy, None, NO_VALUE, Numerics(microbatch_size=5), share=False)
    for rows in ([1, 3], [4, 0, 2]):
        part = whole.rows(torch.tensor(rows))
        bare = trim(experience(policy).rows(torch.tensor(rows)))
        read = []
        handle = blocks_of(policy.lm.get_decoder() if policy.family == "seq2seq" else policy.lm.base_model)[1][0]
        hook = handle.register_forward_hook(lambda *_, read=read: read.append(1))
        now = networks(trim(part), "none").logprobs
        assert not read, "no frozen block is computed again"
        hook.remove()
        torch.testing.assert_close(now, plain(bare, "none").logprobs, atol=1e-5, rtol=0)
