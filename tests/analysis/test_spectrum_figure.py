"""The picture of the spectrum: a row for each diagnosis, a point for each prompt."""

from pathlib import Path

import numpy as np
import pytest
from kinds import write_diagnosis
from test_spectrum import frames_of

from analysis.figures import spectrum as figure
from analysis.statistics.spectrum import of_diagnoses, spectrum


def test_the_picture_has_a_row_for_each_diagnosis_and_a_point_for_each_prompt(tmp_path: Path) -> None:
    write_diagnosis(tmp_path)
    write_diagnosis(tmp_path, data="imdb", stds=[0.2] * 10)
    write_diagnosis(tmp_path, data="imdb", stds=[0.2] * 10, seed=1)
    frames = frames_of(tmp_path)
    (drawn,) = figure.draw(frames)
    assert drawn.name == "spectrum-mini-bundled" and len(drawn.data) == 30 and len(drawn.keys) == 3
    (axes,) = drawn.figure.subfigs[0].axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "NarrativeQA, t5_mini\nmeteor" and len(set(labels)) == 3  # two seeds are two rows
    said = [text.get_text() for text in axes.texts]
    assert said[0].startswith("30 % [") and said[0].endswith("n=10") and said[1].startswith("0 % [0, 31]")
    assert np.median(drawn.data.query("data == 'narrativeqa'")["reward_std"]) == pytest.approx(0.08)
    assert set(of_diagnoses(frames.prompts, spectrum(frames))["reward"]) == {"meteor"}


def test_no_picture_without_a_diagnosis(outputs: Path) -> None:
    assert list(figure.draw(frames_of(outputs))) == []
