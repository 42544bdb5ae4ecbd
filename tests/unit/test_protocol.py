"""The wire vocabulary. Standard library only, as on a host: `python3.7 -m unittest` runs it too."""

import json
import unittest
from dataclasses import replace

from penumbra import protocol
from penumbra.protocol import (
    CleanPlateJob,
    Event,
    Failure,
    JobState,
    JobStatus,
    Keyframe,
    Mask,
    MatteJob,
    OmnimatteJob,
    Progress,
    Result,
    TrimapJob,
    WordError,
    check_names,
    format_frames,
    from_wire,
    parse_frames,
    to_wire,
    validate,
)

MASKS = [Mask("a", "/a.####.png"), Mask("b", "/b.png")]
JOB = OmnimatteJob("/plate.####.exr", "1001-1010", "ACEScg", "/out", masks=MASKS)


class Frames(unittest.TestCase):
    def test_the_grammar(self):
        for text, frames in [
            ("7", (7,)),
            ("1001-1003", (1001, 1002, 1003)),
            ("1-9x4", (1, 5, 9)),
            ("5,1-2", (1, 2, 5)),
            ("-3--1", (-3, -2, -1)),
            (" 1 - 2 , 4 ", (1, 2, 4)),
        ]:
            with self.subTest(text):
                self.assertEqual(parse_frames(text), frames)

    def test_what_is_no_range_says_why_and_names_the_argument(self):
        for text, why in [
            ("", "no frame range"),
            ("1001-", "no frame range"),
            ("1-2-3", "no frame range"),
            ("a", "no frame range"),
            ("1e3", "no frame range"),
            ("1-10x0", "step of 0"),
            ("10-1", "write 1-10"),
            ("1-5,5-9", "frame 5 twice"),
            ("1-99999999", "more than 100000 frames"),
            ("1" * 5000, "no frame range"),
        ]:
            with self.subTest(text), self.assertRaises(WordError) as raised:
                parse_frames(text, "--write")
            self.assertIn(why, str(raised.exception))
            self.assertEqual(raised.exception.argument, "--write")

    def test_what_is_formatted_reads_back_the_same(self):
        for text in ["7", "1001-1003", "1-9x4", "1-2,5", "1,9", "-3--1", "1-3,7-11x2"]:
            with self.subTest(text):
                self.assertEqual(format_frames(parse_frames(text)), text)


class Names(unittest.TestCase):
    def test_free_names_pass(self):
        check_names(["a", "Runner_2", "effectsy"])

    def test_others_are_refused_and_named(self):
        for names, why in [
            (["2a"], "'2a'"),
            (["a b"], "'a b'"),
            ([""], "''"),
            (["a\n"], "letter"),
            (["é"], "letter"),
            (["background"], "reserved"),
            (["a_trimap"], "reserved"),
            (["a", "b", "a"], "twice"),
        ]:
            with self.subTest(names), self.assertRaises(WordError) as raised:
                check_names(names)
            self.assertIn(why, str(raised.exception))

    def test_every_reserved_name_is_refused(self):
        for name in protocol.RESERVED_NAMES:
            with self.subTest(name), self.assertRaises(WordError):
                check_names([name])


class Validation(unittest.TestCase):
    def test_a_right_job_passes(self):
        validate(JOB)
        validate(replace(JOB, write="1001,1005-1007", quality="draft", mask_missing="empty", seed=2**32 - 1))

    def test_a_wrong_word_is_named_by_its_argument(self):
        for changed, argument, why in [
            ({"frames": "5-1"}, "--frames", "backwards"),
            ({"write": "1009-1012"}, "--write", "frame 1011"),
            ({"write": "x"}, "--write", "no frame range"),
            ({"masks": []}, "--mask", "at least one"),
            ({"masks": [Mask("rgba", "/a")]}, "--mask", "reserved"),
            ({"masks": [Mask("a", "a.png")]}, "--mask", "absolute"),
            ({"colorspace": ""}, "--colorspace", "empty"),
            ({"quality": "best"}, "--quality", "draft, standard, final"),
            ({"mask_missing": "skip"}, "--mask-missing", "error, empty"),
            ({"seed": -1}, "--seed", "-1"),
            ({"plate": "plate.exr"}, "--plate", "absolute"),
            ({"out": ""}, "--out", "empty"),
            ({"out": "out"}, "--out", "absolute"),
        ]:
            with self.subTest(argument), self.assertRaises(WordError) as raised:
                validate(replace(JOB, **changed))
            self.assertEqual(raised.exception.argument, argument)
            self.assertIn(why, str(raised.exception))

    def test_each_kind_of_job_holds_its_own_words(self):
        shot = {"plate": "/plate.####.exr", "frames": "1001-1010", "colorspace": "ACEScg", "out": "/out"}
        key = Keyframe("matte", 1001, "/t.exr")
        for job in (
            CleanPlateJob(**shot, clean_plate="/clean.exr"),
            CleanPlateJob(**shot, clean_plate="/clean.exr", model="bgm-v2", refine="thresholding"),
            CleanPlateJob(**shot, clean_plate="auto", masks=[Mask("a", "/a.png")]),
            TrimapJob(**shot, keyframes=[key, replace(key, frame=1010)]),
            MatteJob(**shot, keyframes=[key], steps=10),
            MatteJob(**shot, model="rvm", downsample=0.25),
        ):
            validate(job)
        for job, argument, why in [
            (CleanPlateJob(**shot), "--clean-plate", "no clean plate"),
            (CleanPlateJob(**shot, clean_plate="auto"), "--clean-plate", "auto finds the background"),
            (CleanPlateJob(**shot, clean_plate="clean.exr"), "--clean-plate", "no absolute path"),
            (CleanPlateJob(**shot, clean_plate="/c.exr", effects="drop"), "--effects", "separate, merge"),
            (CleanPlateJob(**shot, clean_plate="/c.exr", model="bgm"), "--model", "closed-form, bgm-v1, bgm-v2"),
            (CleanPlateJob(**shot, clean_plate="/c.exr", model="bgm-v1", refine="full"), "--refine", "--model bgm-v2"),
            (TrimapJob(**shot), "--keyframe", "no trimap"),
            (TrimapJob(**shot, keyframes=[replace(key, frame=1011)]), "--keyframe", "1011 is none of --frames"),
            (TrimapJob(**shot, keyframes=[key, key]), "--keyframe", "two keyframes on frame 1001"),
            (TrimapJob(**shot, keyframes=[key], solver="magic"), "--solver", "closed-form"),
            (TrimapJob(**shot, keyframes=[replace(key, name="a b")]), "--keyframe", "object name"),
            (MatteJob(**shot), "--keyframe", "learns from finished mattes"),
            (MatteJob(**shot, model="rvm", downsample=2.0), "--downsample", "outside 0 to 1"),
            (MatteJob(**shot, keyframes=[key], steps=-1), "--steps", "let the engine choose"),
        ]:
            with self.assertRaises(WordError) as raised:
                validate(job)
            self.assertEqual(raised.exception.argument, argument)
            self.assertIn(why, str(raised.exception))


class Wire(unittest.TestCase):
    def test_messages_come_back_as_they_were_sent(self):
        progress = Progress("fit", 3, 9, 0.4, "loss 0.1", 12.5)
        result = Result("/o", "/o/report.json", "/o/overview.png", {"a": "/o/a"}, "1-9", "ACEScg", 3.5, ["grainy"])
        for message in [
            Event(4, JobState.RUNNING, progress),
            Event(9, JobState.DONE, result=result),
            JobStatus("id", "omnimatte", JobState.FAILED, 1.5, 9, progress, None, Failure(3, "no", "--plate")),
        ]:
            with self.subTest(message):
                text = json.dumps(to_wire(message))
                self.assertEqual(from_wire(type(message), json.loads(text)), message)

    def test_fields_of_a_newer_engine_are_left_out(self):
        data = dict(to_wire(Failure(3, "no")), hint="later")
        self.assertEqual(from_wire(Failure, data), Failure(3, "no"))

    def test_missing_fields_and_unknown_states_are_errors(self):
        with self.assertRaises(TypeError):
            from_wire(Failure, {"code": 3})
        with self.assertRaises(ValueError):
            from_wire(Event, {"seq": 1, "state": "asleep"})

    def test_the_last_three_states_are_final(self):
        self.assertEqual([state.value for state in JobState if state.final], ["done", "failed", "cancelled"])


if __name__ == "__main__":
    unittest.main()
