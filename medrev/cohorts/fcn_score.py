"""The FCN score of label→photo: what a segmentation network makes of a generated photograph."""

from medrev.evaluation import Confusion, confusion, labels_of_colours, to_eight_bit
from medrev.evaluation.masked import Array
from medrev.inference import Model, segment_image, segmenter_of

__all__ = ["fcn_confusion"]


def fcn_confusion(model: Model, photo: Array, labels: Array) -> Confusion:
    """Segment a photograph and compare with the label image it was made from.

    The scores of real photographs say how well the network can do at most ("ground truth" in the
    papers' tables). Add the confusions of all images: the papers count all pixels together.

    Args:
        model: Trained with ``method.kind: segmentation``, on photographs of this resolution.
        photo: Photograph of shape (C, I, J), 0 to 255.
        labels: Label image of shape (3, I, J), 0 to 255, in the colours of the model. Pixels that
            are farther from all of them than the model's ``method.tolerance`` are not counted.

    Raises:
        InputError: The model is of another kind, sizes differ, or a value is not finite.

    References:
        Isola et al., *Image-to-Image Translation with Conditional Adversarial Networks*
        (arXiv:1611.07004), section 4.1.
    """
    colours = segmenter_of(model).colours
    tolerance = getattr(model.pipeline.method, "tolerance", None)
    true = labels_of_colours(labels, colours, tolerance=tolerance)
    found = segment_image(model, to_eight_bit(photo, 0, 255))
    return confusion(found, true, classes=len(colours))
