import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import DINOLoss
from methods_common import TinyConvNet, descend, images, tiny_vit

from ssl_bench.methods.load import load_method
from ssl_bench.methods.negative_free.dino import DINO, DINOSettings, distillation, teacher_distribution

SMALL = {"prototypes": 12, "hidden_dim": 16, "bottleneck_dim": 8, "local_crops": 2, "local_size": 8}


def views(batch: int = 4, local: int = 8) -> list[torch.Tensor]:
    return [images(batch), images(batch, seed=1), images(batch, local, 2), images(batch, local, 3)]


def scores(
    crops: int = 4, batch: int = 5, k: int = 6, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((crops, batch, k), (2, batch, k), (k,))
    student, teacher, centre = (torch.randn(*shape, generator=generator) for shape in shapes)
    return student, teacher, centre


def naive(student, teacher, centre, student_temperature, temperature) -> float:
    """Equations 1 to 4, one pair of crops and one image at a time."""
    total, pairs = 0.0, 0
    for q in range(2):
        for v in range(len(student)):
            if v == q:
                continue
            pairs += 1
            for n in range(student.shape[1]):
                target = torch.softmax((teacher[q, n] - centre).double() / temperature, 0)
                log_p = torch.log_softmax(student[v, n].double() / student_temperature, 0)
                total += float(-(target * log_p).sum()) / student.shape[1]
    return total / pairs


def test_loss_is_the_papers_and_lightlys():
    student, teacher, centre = scores()
    loss = distillation(student, teacher_distribution(teacher, centre, 0.05), 0.1)
    assert loss.item() == pytest.approx(naive(student, teacher, centre, 0.1, 0.05), rel=1e-5)
    oracle = DINOLoss(output_dim=6, student_temp=0.1)
    oracle.center.copy_(centre.view(1, 1, -1))
    assert loss.item() == pytest.approx(oracle(list(teacher), list(student), teacher_temp=0.05).item(), rel=1e-5)


def test_gradient_is_the_students_only_and_lightlys():
    student, teacher, centre = scores()
    ours, theirs = student.clone().requires_grad_(), student.clone().requires_grad_()
    watched = teacher.clone().requires_grad_()
    distillation(ours, teacher_distribution(watched, centre, 0.05), 0.1).backward()
    oracle = DINOLoss(output_dim=6, student_temp=0.1)
    oracle.center.copy_(centre.view(1, 1, -1))
    oracle(list(teacher), list(theirs), teacher_temp=0.05).backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)
    assert watched.grad is None


@given(seed=st.integers(0, 1000), shift=st.floats(-3, 3))
@settings(deadline=None, max_examples=25)
def test_order_of_images_and_shifts_of_all_scores_do_not_matter(seed, shift):
    student, teacher, centre = scores(seed=seed)
    loss = distillation(student, teacher_distribution(teacher, centre, 0.07), 0.1).item()
    shuffled = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    again = distillation(
        student[:, shuffled] + shift, teacher_distribution(teacher[:, shuffled] + shift, centre, 0.07), 0.1
    )
    assert again.item() == pytest.approx(loss, rel=1e-3)


def test_centre_and_sharpening_work_against_each_other():
    """Centring alone makes the targets uniform, sharpening alone makes them one-hot."""
    teacher = torch.randn(6).expand(2, 3, 6)
    assert torch.allclose(teacher_distribution(teacher, teacher[0, 0], 0.04), torch.full((2, 3, 6), 1 / 6))
    assert teacher_distribution(teacher, torch.zeros(6), 0.001).amax(-1) == pytest.approx(torch.ones(2, 3))


def test_centre_is_updated_after_its_use_as_lightlys():
    method = load_method("dino", TinyConvNet(), **SMALL)
    oracle = DINOLoss(output_dim=12, student_temp=0.1, center_momentum=0.9)
    for step in range(3):
        batch = [v + step for v in views()]
        with torch.no_grad():
            teacher = method.teacher_head(method.teacher_encoder(torch.cat(batch[:2]))).chunk(2)
            student = method.head(torch.cat([method.encoder(torch.cat(batch[i : i + 2])) for i in (0, 2)])).chunk(4)
        expected = oracle(list(teacher), list(student), teacher_temp=method.teacher_temperature(step)).item()
        assert method(batch, step)["loss"].item() == pytest.approx(expected, rel=1e-4)
        method.after_step(step)
        assert torch.allclose(method.centre, oracle.center.flatten(), atol=1e-6)


def test_accumulated_batches_update_the_centre_once():
    method = load_method("dino", TinyConvNet(), momentum=1.0, **SMALL)
    halves = [[v[:2] for v in views()], [v[2:] for v in views()]]
    means = [method.teacher_head(method.teacher_encoder(torch.cat(half[:2]))).mean(0) for half in halves]
    for half in halves:
        method(half, 0)
    method.after_step(0)
    assert torch.allclose(method.centre, 0.1 * (means[0] + means[1]) / 2, atol=1e-6)
    method.eval()
    method(halves[0], 1)
    assert method._batch_means == []


def test_teacher_gets_no_gradient_and_no_stochastic_depth():
    method = load_method("dino", tiny_vit(drop_path_rate=0.5), **SMALL)
    method(views(), 0)["loss"].backward()
    for name, parameter in method.named_parameters():
        if name.startswith("teacher_"):
            assert parameter.grad is None
            assert not parameter.requires_grad
    first, second = (method.teacher_encoder(images(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(method.encoder(images(4)), method.encoder(images(4)))


def test_last_layer_stands_still_in_the_first_epoch():
    method = load_method("dino", TinyConvNet(), steps_per_epoch=2, total_steps=8, **SMALL)
    last, mlp = method.head.last_layer.weight_v, method.head.mlp[0].weight
    before, before_mlp = last.clone(), mlp.clone()
    descend(method, views(), 2)
    assert torch.equal(last, before)
    assert not torch.equal(mlp, before_mlp)
    method(views(), 2)["loss"].backward()
    method.before_step(2)
    assert last.grad is not None


def test_teacher_temperature_rises_by_epochs_as_lightlys():
    method = load_method("dino", TinyConvNet(), steps_per_epoch=3, **SMALL)
    schedule = DINOLoss(
        12, warmup_teacher_temp=0.04, teacher_temp=0.07, warmup_teacher_temp_epochs=30
    ).teacher_temp_schedule
    for epoch in range(30):
        for step in (3 * epoch, 3 * epoch + 2):
            assert method.teacher_temperature(step) == pytest.approx(schedule[epoch].item(), rel=1e-5)
    assert method.teacher_temperature(3 * 30) == method.teacher_temperature(3 * 500) == 0.07
    constant = load_method("dino", TinyConvNet(), warmup_teacher_temperature_epochs=0, **SMALL)
    assert constant.teacher_temperature(0) == 0.07


def test_teacher_follows_from_start_momentum_to_1():
    method = load_method("dino", TinyConvNet(), total_steps=10, momentum=0.5, **SMALL)
    with torch.no_grad():
        for parameter in [*method.encoder.parameters(), *method.head.parameters()]:
            parameter.add_(1.0)
    followed = (method.teacher_encoder.net[0].weight, method.teacher_head.mlp[0].weight)
    before = [w.clone() for w in followed]
    method(views(), 0)
    method.after_step(0)
    assert all(torch.allclose(w, b + 0.5, atol=1e-6) for w, b in zip(followed, before, strict=True))
    before = [w.clone() for w in followed]
    method(views(), 10)
    method.after_step(10)
    assert all(torch.equal(w, b) for w, b in zip(followed, before, strict=True))
    assert method.evaluated is method.teacher_encoder


def test_head_normalises_features_and_prototypes():
    method = load_method("dino", TinyConvNet(), **SMALL)
    features = torch.randn(5, 8)
    bottleneck = F.normalize(method.head.mlp(features), dim=1)
    prototypes = F.normalize(method.head.last_layer.weight_v, dim=1)
    assert torch.allclose(method.head(features), bottleneck @ prototypes.T, atol=1e-6)
    assert not method.head.last_layer.weight_g.requires_grad
    free = load_method("dino", TinyConvNet(), norm_last_layer=False, **SMALL)
    assert free.head.last_layer.weight_g.requires_grad
    assert [type(layer).__name__ for layer in method.head.mlp] == ["Linear", "GELU", "Linear", "GELU", "Linear"]


@pytest.mark.parametrize("encoder", [TinyConvNet, tiny_vit])
def test_training_lowers_the_loss_with_crops_of_two_sizes(encoder):
    still = {"freeze_last_layer_epochs": 0, "momentum": 1.0, "centre_momentum": 1.0}  # fixed targets
    method = load_method("dino", encoder(), total_steps=100, steps_per_epoch=100, **still, **SMALL)
    batch = views(8)
    losses = descend(method, batch, 40, 0.003, torch.optim.Adam)
    assert losses[-1] < 0.8 * losses[0]
    assert 0 <= method(batch, 25)["teacher_entropy"].item() <= math.log(12)


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_vit_built_for_one_size_resamples_its_positions(dynamic):
    """Same features whether the ViT was built with ``dynamic_img_size`` or not."""
    reference = tiny_vit(dynamic_img_size=True)
    encoder = tiny_vit(dynamic_img_size=dynamic)
    encoder.load_state_dict(reference.state_dict())
    method = load_method("dino", encoder, **SMALL)
    assert torch.equal(method.encoder(images(2, 8)), reference(images(2, 8)))
    assert torch.equal(method.encoder(images(2, 16)), reference(images(2, 16)))


def test_augmentation_is_multi_crop():
    first, second, *local = DINO.augmentation(224, DINOSettings())
    assert (first.size, first.crop_scale, first.blur, first.solarize) == (224, (0.4, 1.0), 1.0, 0.0)
    assert (second.blur, second.solarize) == (0.1, 0.2)
    assert {(v.size, v.crop_scale, v.blur, v.solarize) for v in local} == {(96, (0.05, 0.4), 0.5, 0.0)}
    assert len(local) == 8
    assert DINO.augmentation(32, DINOSettings())[2].size == 16
