import pytest
import torch
from torch import nn

from agnet.errors import AGNetError, InvalidInput
from evaluation.checks import check_differentiable, check_images, check_logits, check_model, check_sound

IMAGES, LABELS = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])


def with_pixel(value: float) -> torch.Tensor:
    images = IMAGES.clone()
    images[1, 0, 1, 1] = value
    return images


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:0], LABELS[:0], r"images of shape \[0, 1, 2, 2\]; give"),
        (IMAGES[0], LABELS, r"images of shape \[1, 2, 2\]; give \[images, channels, height, width\]"),
        (torch.zeros(3, 0, 2, 2), LABELS, r"images of shape \[3, 0, 2, 2\]"),
        (IMAGES, LABELS[:2], r"labels of shape \[2\] for 3 images; give one label per image"),
        (IMAGES, LABELS[:, None], r"labels of shape \[3, 1\] for 3 images"),
        (IMAGES, LABELS.float(), "labels of type torch.float32; give class indices as integers"),
        (IMAGES, LABELS > 0, "labels of type torch.bool; give class indices as integers"),
        (IMAGES.long(), LABELS, "images of type torch.int64; give floating pixels"),
        (IMAGES.half(), LABELS, "images of type torch.float16, .* give them as float32"),
        (IMAGES.bfloat16(), LABELS, "images of type torch.bfloat16, .* give them as float32"),
        (with_pixel(float("nan")), LABELS, "NaN or infinite pixels; remove"),
        (with_pixel(float("inf")), LABELS, "NaN or infinite pixels; remove"),
        (
            with_pixel(-0.5),
            LABELS,
            r"pixels range over \[-0.5, 0.\d+\], outside \[0, 1\]; .*normalise inside the model",
        ),
        (with_pixel(255), LABELS, r"pixels range over \[0.\d+, 255\], outside \[0, 1\]; .*divide 8-bit levels by 255"),
    ],
)
def test_images_and_labels_that_cannot_be_used(images: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_images(images, labels)


@pytest.mark.parametrize("images", [IMAGES, IMAGES.double(), (IMAGES * 255).byte(), torch.zeros(3, 1, 1, 1)])
@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint8])
def test_usable_images(images: torch.Tensor, kind: torch.dtype) -> None:
    check_images(images, LABELS.to(kind))


def test_models_in_training_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout()))
    with pytest.raises(
        InvalidInput, match=r"4 modules are in training mode \(first: Sequential\).*call model.eval\(\) first"
    ):
        check_model(model)
    model.eval()
    check_model(model)
    model[1][0].train()
    with pytest.raises(InvalidInput, match=r"1 modules are in training mode \(first: 1\.0\)"):
        check_model(model)
    check_model(lambda x: x)


def test_gradients_must_be_possible() -> None:
    with torch.inference_mode(), pytest.raises(InvalidInput, match="outside of it"):
        check_model(lambda x: x)
    with torch.no_grad():
        check_model(lambda x: x)
    check_differentiable(torch.rand(3, 2, requires_grad=True))
    check_differentiable(torch.ones(3, 2))
    with pytest.raises(InvalidInput, match=r"no gradient.*Square, or make it differentiable"):
        check_differentiable(torch.rand(3, 2))


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ((torch.rand(3, 3), torch.rand(3, 3)), "returned tuple; it must return a tensor of logits alone"),
        (None, "returned NoneType"),
        (torch.rand(3), r"logits of shape \[3\] for 3 images; give \[images, classes\]"),
        (torch.rand(3, 1), r"logits of shape \[3, 1\] for 3 images; give .* at least 2 classes"),
        (torch.rand(4, 3), r"logits of shape \[4, 3\] for 3 images"),
        (torch.rand(3, 3, 1), r"logits of shape \[3, 3, 1\]"),
        (torch.ones(3, 3, dtype=torch.int64), "logits of type torch.int64; give floating ones"),
        (torch.full((3, 3), float("nan")), "logits of 3 of 3 samples are not finite .*repair the model first"),
        (torch.tensor([[0, float("inf"), 0]] * 3), "logits of 3 of 3 samples are not finite .*repair the model first"),
        (torch.rand(3, 2), r"labels range over 0\.\.2, but the model has 2 classes; give labels within 0\.\.1"),
    ],
)
def test_logits_that_cannot_be_judged(logits: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_logits(logits, IMAGES, LABELS, min_classes=2)


def test_labels_below_zero() -> None:
    with pytest.raises(InvalidInput, match=r"labels range over -1\.\.1"):
        check_logits(torch.rand(3, 3), IMAGES, LABELS - 1)
    check_logits(torch.rand(3, 3), IMAGES, LABELS)


def test_what_breaks_under_attack() -> None:
    check_sound(torch.tensor([True, True]))
    check_sound(torch.tensor([], dtype=torch.bool))
    with pytest.raises(AGNetError, match="NaN or infinite logits, or NaN gradients, under attack"):
        check_sound(torch.tensor([True, False]))
