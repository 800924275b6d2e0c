"""Recordings: folds, labels, layouts, damaged files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ssl_bench.cards import DatasetCard
from ssl_bench.data.audio_files import read
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.check import check_dataset
from ssl_bench.data.recordings import AudioSplit, Tags, folds_of
from ssl_bench.data.tones import RATE, tone, tones
from ssl_bench.errors import DataError, ImageError, MissingExtraError


def write_sound(path: Path, seconds: float = 0.1, rate: int = 8000, channels: int = 1) -> np.ndarray:
    samples = (
        np.random.default_rng(len(path.name)).uniform(-0.5, 0.5, (int(seconds * rate), channels)).astype("float32")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return samples


def test_samples_are_the_mean_of_the_channels(tmp_path: Path) -> None:
    samples = write_sound(tmp_path / "a.wav", channels=2)
    found, rate = read(tmp_path / "a.wav")
    assert rate == 8000
    assert found.dtype == np.float32
    assert np.allclose(found, samples.mean(axis=1))
    part, _ = read(tmp_path / "a.wav", (0.05, 0.02))
    assert np.allclose(part, samples.mean(axis=1)[400:560])


@pytest.mark.parametrize("content", [b"", b"RIFF this is no sound"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.wav").write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.wav: cannot be read as a recording"):
        read(tmp_path / "broken.wav")
    with pytest.raises(ImageError, match=r"absent\.wav"):
        read(tmp_path / "absent.wav")


def test_without_soundfile_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ssl-bench\[audio\]'"):
        read(tmp_path / "a.wav")


def test_folds_never_mix(shared_data: Path) -> None:
    dataset = load_dataset("esc10_mini", shared_data)
    folds = folds_of(dataset)
    assert [fold.name for fold in folds] == [f"fold {n}" for n in range(1, 6)]
    tested: list[str] = []
    for number, fold in enumerate(folds, start=1):
        train = {fold.train.identity(i).split(":")[0] for i in range(len(fold.train))}
        test = {fold.test.identity(i).split(":")[0] for i in range(len(fold.test))}
        assert (len(train), len(test)) == (80, 20)
        assert not train & test
        assert {Path(name).name.split("_")[1][0] for name in test} == {str(number)}  # file names begin with class_fold
        assert np.bincount(fold.test.labels).tolist() == [2] * 10
        tested += test
    assert len(tested) == len(set(tested)) == 100
    samples, rate = folds[0].test.waveform(0)
    assert rate == 44100
    assert 4.9 < len(samples) / rate < 5.2


def test_a_limit_keeps_all_folds_and_one_fold_is_refused(shared_data: Path) -> None:
    assert [len(fold.test) for fold in folds_of(load_dataset("esc10_mini", shared_data, limit=5))] == [10] * 5
    with pytest.raises(DataError, match="cross-validation needs two folds"):
        folds_of(load_dataset("esc10_mini", shared_data, limit=1))


def test_data_check_reads_recordings(tmp_path: Path) -> None:
    names = [f"{digit}_theo_{number}.wav" for digit in range(10) for number in (0, 5)]
    for name in names:
        write_sound(tmp_path / "fsdd_mini" / "recordings" / name)
    assert "wrong" not in "".join(check_dataset("fsdd_mini", tmp_path, decode=True).lines())
    (tmp_path / "fsdd_mini" / "recordings" / names[0]).write_bytes(b"nothing")
    report = check_dataset("fsdd_mini", tmp_path, decode=True)
    assert any(names[0] in line and "cannot be read as a recording" in line for line in report.lines())
    write_sound(tmp_path / "fsdd_mini" / "recordings" / "eleven.wav")
    with pytest.raises(DataError, match=r"eleven\.wav: the name is not <digit>_<speaker>_<number>\.wav"):
        load_dataset("fsdd_mini", tmp_path)


def test_spoken_digits_have_their_official_test(shared_data: Path) -> None:
    dataset = load_dataset("fsdd_mini", shared_data)
    assert (len(dataset.train), len(dataset.test)) == (300, 300)
    names = [str(dataset.test.file(i)) for i in range(300)]
    assert all(int(Path(name).stem.split("_")[2]) < 5 for name in names)
    assert dataset.test.labels.tolist() == [int(Path(name).name[0]) for name in names]


def test_esc50_layout(tmp_path: Path) -> None:
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in (1, 2):
        for target, name in enumerate(("dog", "rain")):
            write_sound(tmp_path / "ESC-50-master/audio" / f"{fold}-{target}.wav")
            lines.append(f"{fold}-{target}.wav,{fold},{target},{name},False,1,A")
    (tmp_path / "ESC-50-master/meta").mkdir()
    table = tmp_path / "ESC-50-master/meta/esc50.csv"
    table.write_text("\n".join(lines))
    dataset = load_dataset("esc50", tmp_path)
    assert dataset.classes == ("dog", "rain")
    assert [fold.test.labels.tolist() for fold in folds_of(dataset)] == [[0, 1], [0, 1]]
    table.write_text("\n".join([*lines, "x.wav,three,0,dog,False,1,A"]))
    with pytest.raises(DataError, match=r"esc50.csv:6: fold is no number"):
        load_dataset("esc50", tmp_path)
    with pytest.raises(DataError, match="There is no data set esc50"):
        load_dataset("esc50", tmp_path / "elsewhere")


def test_speech_commands_layouts(tmp_path: Path) -> None:
    v2 = tmp_path / "speech_commands_v0.02"
    for word in ("cat", "yes"):
        for name in ("a", "b", "c"):
            write_sound(v2 / word / f"{name}.wav")
    write_sound(v2 / "_background_noise_" / "hum.wav", 2.5)
    (v2 / "validation_list.txt").write_text("cat/b.wav\nyes/b.wav\n")
    (v2 / "testing_list.txt").write_text("cat/c.wav\nyes/c.wav\n")
    dataset = load_dataset("speechcommands", tmp_path)
    assert dataset.classes == ("cat", "yes")
    assert [len(split) for split in dataset.splits.values()] == [2, 2, 2]
    assert str(dataset.test.file(1)).endswith("yes/c.wav")
    v2.rename(tmp_path / "speech_commands_v0.01")
    for name in ("yes", "_silence_", "_unknown_"):
        write_sound(tmp_path / "speech_commands_test_set_v0.01" / name / "t.wav")
    v1 = load_dataset("speechcommands_v1", tmp_path)
    assert len(v1.classes) == 12
    assert v1.train.labels.tolist() == [11, 0, 10, 10]  # cat is unknown; yes; two whole seconds of noise
    assert isinstance(v1.train, AudioSplit)
    assert [len(v1.train.waveform(i)[0]) for i in (2, 3)] == [8000, 8000]
    assert v1.test.labels.tolist() == [0, 10, 11]
    (tmp_path / "speech_commands_v0.01" / "testing_list.txt").write_text("cat/z.wav\n")
    with pytest.raises(DataError, match=r"cat/z.wav: it is in a list, but not there"):
        load_dataset("speechcommands_v1", tmp_path)


def test_audioset_takes_what_is_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "audioset"
    write_sound(folder / "balanced_train" / "Yaa.wav")
    write_sound(folder / "balanced_train" / "bb.flac".replace("flac", "wav"))
    write_sound(folder / "eval" / "-cc.wav")
    (folder / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n2,/m/0dgw9r,"Silence"\n'
    )
    header = "# Segments csv created\n"
    (folder / "balanced_train_segments.csv").write_text(
        header + 'aa, 30.0, 40.0, "/m/05zppz,/m/09x0r"\nbb, 0.0, 10.0, "/m/0dgw9r"\ngone, 0.0, 10.0, "/m/09x0r"\n'
    )
    (folder / "eval_segments.csv").write_text(header + '-cc, 0.0, 10.0, "/m/09x0r"\n')
    dataset = load_dataset("audioset20k", tmp_path)
    (fold,) = folds_of(dataset)
    assert fold.train.tags is not None
    assert fold.train.tags.present(np.arange(2)).tolist() == [[1, 1, 0], [0, 0, 1]]
    assert dataset.classes[1] == "Male speech, man speaking"
    assert fold.train.subset([1]).tags.present(np.array([0])).tolist() == [[0, 0, 1]]
    before = dataset.fingerprint
    (folder / "eval_segments.csv").write_text(header + '-cc, 0.0, 10.0, "/m/0dgw9r"\n')
    assert load_dataset("audioset20k", tmp_path).fingerprint != before
    (folder / "eval_segments.csv").write_text(header + '-cc, 0.0, 10.0, "/m/unknown"\n')
    with pytest.raises(DataError, match=r"eval_segments.csv:2: label '/m/unknown' is not in"):
        load_dataset("audioset20k", tmp_path)
    (folder / "eval" / "-cc.wav").unlink()
    (folder / "eval_segments.csv").write_text(header + '-cc, 0.0, 10.0, "/m/0dgw9r"\n')
    with pytest.raises(DataError, match="none of the recordings of eval is there"):
        load_dataset("audioset20k", tmp_path)


def test_tags_are_the_lists_that_were_given() -> None:
    tags = Tags.of([[0, 2], [], [1]], 3)
    assert len(tags) == 3
    assert tags.present(np.array([2, 0])).tolist() == [[0, 1, 0], [1, 0, 1]]
    assert tags.rows(np.array([2, 0])).present(np.arange(2)).tolist() == [[0, 1, 0], [1, 0, 1]]


def test_tones_follow_from_the_seed_and_have_the_pitch_of_their_class() -> None:
    assert np.array_equal(tone(0, 3), tone(0, 3))
    assert not np.array_equal(tone(0, 0), tone(1, 0))
    assert tone(0, 0).shape == (RATE,)

    def pitch(sound: np.ndarray) -> float:
        return float(np.argmax(abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 15))) * RATE / (1 << 15))

    later = {
        kind: [pitch(tone(0, i)[12000:]) / pitch(tone(0, i)[4000:8000]) for i in range(kind, 60, 6)]
        for kind in range(3)
    }
    assert np.allclose(later[0], 1, atol=0.02)  # steady
    assert np.median(later[1]) == pytest.approx(2**0.5, rel=0.1)  # half a second later an octave a second higher
    assert np.median(later[2]) == pytest.approx(2**-0.5, rel=0.1)
    folded = tones(
        Path(), DatasetCard(name="t", builder="tones", title="", options={"seed": 0, "train": 24, "folds": 2})
    )
    assert [sorted(np.bincount(fold.test.labels).tolist()) for fold in folds_of(folded)] == [[2] * 6, [2] * 6]


def test_recordings_cannot_be_seen_and_images_cannot_be_heard() -> None:
    with pytest.raises(DataError, match="there is nothing to see"):
        load_dataset("tones").train.image(0)
    with pytest.raises(DataError, match="digits has no recordings"):
        folds_of(load_dataset("digits"))
