"""The class of a pixel is that of the nearest colour; strange colours are named."""

import numpy as np
import pytest
import torch

from medrev.errors import InputError
from medrev.volumes import CITYSCAPES, VOID, check_known, classes_of_colours

COLOURS = [(0, 0, 0), (255, 0, 0), (200, 200, 200)]


def image_of(labels: torch.Tensor, colours=COLOURS) -> torch.Tensor:
    return torch.tensor(colours)[labels].movedim(-1, 0)


@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 5)])
def test_exact_colours_give_the_classes_back(shape):
    colours = list(CITYSCAPES.values())
    labels = torch.randint(19, shape, generator=torch.Generator().manual_seed(0))
    image = image_of(labels, colours)
    for values in (image, image.double(), image.to(torch.uint8)):
        assert torch.equal(classes_of_colours(values, colours, tolerance=0), labels)
    batch = torch.stack([image, image.flip(1)])
    assert torch.equal(
        classes_of_colours(batch, colours, axis=1), torch.stack([labels, labels.flip(0)])
    )


def test_the_nearest_colour_is_that_of_all_distances():
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1)) * 255
    pixels = image.flatten(1).T.double()
    distances = torch.cdist(pixels, torch.tensor(COLOURS).double())
    found = classes_of_colours(image, COLOURS, tolerance=90)
    expected = torch.where(distances.min(1).values <= 90, distances.argmin(1), VOID)
    assert torch.equal(found.flatten(), expected)
    assert 0 < (found == VOID).float().mean() < 1


def test_a_strange_colour_is_named_with_its_number_of_pixels():
    image = image_of(torch.zeros(4, 5, dtype=torch.long)).float()
    image[:, 0, :3] = torch.tensor([0.0, 120, 0])[:, None]
    image[:, 3, 4] = 90
    labels = classes_of_colours(image, COLOURS, tolerance=30)
    with pytest.raises(InputError, match=r"\(0, 120, 0\) is not in the palette") as caught:
        check_known(image, labels, COLOURS, tolerance=30)
    assert str(caught.value).endswith(
        "(nearest: (0, 0, 0), 120 away, allowed 30): 3 pixels, 4 of any unknown colour"
    )
    check_known(image, torch.zeros_like(labels), COLOURS, tolerance=30)


def test_compressed_label_images_keep_their_classes(tmp_path):
    from PIL import Image

    colours = list(CITYSCAPES.values())
    labels = torch.arange(19).repeat_interleave(16).repeat(32, 1)
    array = image_of(labels, colours).movedim(0, -1).numpy().astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "labels.jpg", quality=90)
    read = torch.from_numpy(np.array(Image.open(tmp_path / "labels.jpg"))).movedim(-1, 0)
    found = classes_of_colours(read, colours, tolerance=30)
    right, void = (found == labels).float().mean(), (found == VOID).float().mean()
    assert right > 0.93
    assert right + void > 0.99  # where colours meet they mix, to none
    unlabelled = torch.zeros(3, 2, 2)  # what Cityscapes does not evaluate is black
    assert set(classes_of_colours(unlabelled, colours, tolerance=30).flatten().tolist()) == {VOID}
