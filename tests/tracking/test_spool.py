"""What a tracking server still misses of a run folder."""

from rftlab.tracking import spool


def test_only_whole_lines_are_taken_from_the_metrics_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = b'{"step": 1, "time": 2.0, "metrics": {"a": 1.0}}\n'
    path.write_bytes(whole + b"torn by a cra\n" + whole + whole[:20])
    ((points, offset),) = spool.unsent(path, 0)
    assert [point.step for point in points] == [1, 1]
    assert offset == path.stat().st_size - 20
    path.write_bytes(path.read_bytes() + whole[20:])
    assert [len(points) for points, _ in spool.unsent(path, offset)] == [1]


def test_of_a_long_file_the_newest_whole_lines_are_sent(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(f"line {index}\n" for index in range(10)))
    assert spool.newest_lines(path, 17) == "line 8\nline 9\n"
    assert spool.newest_lines(path, 1000) == path.read_text()
