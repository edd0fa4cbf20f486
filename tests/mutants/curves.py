"""Mistakes in how figures part cells into plots, and in their bars."""

from mutants.mutation import Mutation

CURVES, DRAWN = "../../analysis/drawing/", "analysis/test_curves.py"

MUTATIONS = {
    "always-together": Mutation(
        CURVES + "curves.py", "if len(cells) <= TOGETHER:", "if True:", DRAWN, "nine curves overlap in one plot"
    ),
    "colours-in-the-order-of-words": Mutation(
        CURVES + "curves.py",
        "sorted(distinct, key=float) if _numeric(values) else distinct",
        "distinct",
        DRAWN,
        "a larger learning rate has the colour of a smaller one",
    ),
    "own-axis-for-each-small-plot": Mutation(
        CURVES + "curves.py",
        "                **_limits(values),\n            )",
        "            )",
        DRAWN,
        "small plots side by side look alike though their numbers differ",
    ),
    "facet-by-the-number": Mutation(
        CURVES + "curves.py",
        "return key != HEURISTIC, _numeric(values), values.nunique()",
        "return key != HEURISTIC, not _numeric(values), values.nunique()",
        DRAWN,
        "curves of one algorithm over a number lie in different plots",
    ),
    "bars-rule-the-axis": Mutation(
        CURVES + "layout.py",
        'max(rows["low"].min(), lowest - more), min(rows["high"].max(), highest + more)',
        'rows["low"].min(), rows["high"].max()',
        DRAWN,
        "the bar of three seeds flattens every curve",
    ),
    "silent-cut": Mutation(
        CURVES + "layout.py",
        'each["low"].min() < low or each["high"].max() > high',
        "False",
        DRAWN,
        "a cut bar poses as a short one",
    ),
}
