"""What the samples of a cohort and their parts are called: subjects of voxels, images of pixels."""

from dataclasses import dataclass

from medrev.evaluation import Evaluated

__all__ = ["IMAGES", "SUBJECTS", "Words", "words_of"]


@dataclass(frozen=True)
class Words:
    """Nouns of a report.

    Attributes:
        thing: One sample.
        things: Several.
        points: What errors are counted over.
        whole: Where errors count without a mask.
    """

    thing: str
    things: str
    points: str
    whole: str

    def count(self, number: int) -> str:
        """A number of samples.

        Example:
            >>> SUBJECTS.count(1), IMAGES.count(20)
            ('1 subject', '20 images')
        """
        return f"{number} {self.thing if number == 1 else self.things}"


SUBJECTS = Words("subject", "subjects", "voxels", "whole volume")
IMAGES = Words("image", "images", "pixels", "whole image")


def words_of(evaluated: Evaluated) -> Words:
    """The words for what was evaluated."""
    facts = [measured.facts for measured in evaluated.measured.values()]
    return IMAGES if facts and all(f.get("image") for f in facts) else SUBJECTS
