"""From a node to a job, without a host. Runs on the hosts' oldest Python too, so plain unittest."""

import os
import shutil
import tempfile
import unittest

from penumbra import staging
from penumbra.nodes import CLEAN_PLATE_MATTE, TRIMAP_PROPAGATE
from penumbra.nodes import MATTE as MATTE_NODE
from penumbra.nodes import OMNIMATTE_LAYERS as NODE
from penumbra.protocol import Keyframe, Mask, OmnimatteJob, parse_frames
from penumbra.staging import ReadFiles, Refused, Seen

VALUES = {knob.name: knob.default for knob in NODE.knobs}


def write(path, text="picture"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    return path


class Patterns(unittest.TestCase):
    def test_hashes_and_printf_places_are_filled(self):
        self.assertEqual(staging.file_of("/a.b/c.####.exr", 7), os.path.join("/a.b", "c.0007.exr"))
        self.assertEqual(staging.file_of("/a/c.%04d.exr", 12345), os.path.join("/a", "c.12345.exr"))
        self.assertEqual(staging.file_of("/a/c_%d.exr", 7), os.path.join("/a", "c_7.exr"))
        self.assertEqual(staging.file_of("/a/v2#1/c.##.exr", 7), os.path.join("/a/v2#1", "c.07.exr"))
        self.assertEqual(staging.file_of("/a/still.exr", 7), "/a/still.exr")

    def test_the_pattern_of_files_gives_them_back(self):
        for pattern in ("/a/c.####.exr", "/a/c2.##_v003.exr", "/a/take7/x_######.dpx", "/a b/é.####.exr"):
            files = {frame: staging.file_of(pattern, frame) for frame in range(98, 1003)}
            found = staging.pattern_of(files)
            self.assertEqual({frame: staging.file_of(found, frame) for frame in files}, files)

    def test_a_still_is_its_own_pattern(self):
        self.assertEqual(staging.pattern_of({1: "/a/still.exr", 2: "/a/still.exr"}), "/a/still.exr")

    def test_files_with_other_numbers_have_no_pattern(self):
        self.assertIsNone(staging.pattern_of({1: "/a/c.1001.exr", 2: "/a/c.1002.exr"}))
        self.assertIsNone(staging.pattern_of({1: "/a/c.0001.exr", 2: "/a/c.0001.exr", 3: "/a/c.0003.exr"}))
        self.assertIsNone(staging.pattern_of({1: "/a/c.1.exr", 2: "/b/c.2.exr"}))

    def test_stereo_views_are_refused_with_the_file(self):
        staging.check_path("/a/view.%04d.exr", "Read1")
        for path in ("/a/c_%V.%04d.exr", "/a/%v/c.####.exr"):
            with self.assertRaisesRegex(Refused, "Read1: .*stereo view"):
                staging.check_path(path, "Read1")

    def test_frames_in_unbroken_runs(self):
        self.assertEqual(staging.runs((1, 2, 3, 7, 9, 10)), [(1, 3), (7, 7), (9, 10)])
        self.assertEqual(staging.runs(()), [])

    def test_frames_that_run_backwards_are_refused(self):
        with self.assertRaisesRegex(Refused, "backwards, 9 to 3"):
            staging.frames_of(9, 3)


class Folders(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pénumbra ")
        self.addCleanup(shutil.rmtree, self.folder)
        self.frames = (1001, 1002, 1003)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def read(self, shift=0, suffix=".exr", **more):
        files = {f: write(self.path("src", "p.{}{}".format(f + shift, suffix)), str(f)) for f in self.frames}
        return Seen("plate", "tree", sorted(files.values()), ReadFiles(files, "ACEScg", **more))

    def route(self, seen, frames=None, colour=True):
        return staging.route(seen, frames or self.frames, self.path("stage"), colour)

    def staged(self, tree="tree"):
        source = self.path("src", "p.1.exr")
        return Seen("plate", tree, [source if os.path.exists(source) else write(source)])

    def write_frames(self, route):
        staging.prepare(route)
        for frame in route.frames:
            write(staging.file_of(route.pattern, frame))
        staging.record(route)

    # An unmodified Read

    def test_a_read_is_passed_by_its_path(self):
        route = self.route(self.read())
        self.assertEqual((route.pattern, route.frames, route.links), (self.path("src", "p.####.exr"), (), None))
        staging.prepare(route)
        self.assertFalse(os.path.exists(self.path("stage")))

    def test_other_numbers_are_passed_as_links(self):
        route = self.route(self.read(shift=-1000, suffix=".png"))
        self.assertFalse(route.staged)
        staging.prepare(route)
        staging.prepare(route)  # again, over what is there
        for frame in self.frames:
            with open(staging.file_of(route.pattern, frame)) as file:
                self.assertEqual(file.read(), str(frame))
        self.assertTrue(route.pattern.endswith("plate.####.png"))

    def test_a_file_that_is_not_there_can_not_be_linked(self):
        seen = self.read(shift=5)
        os.remove(seen.read.files[1002])
        with self.assertRaisesRegex(Refused, r"plate: there is no file for frame 1002, expected .*p\.1007\.exr"):
            staging.prepare(self.route(seen))

    def test_where_there_are_no_links_files_are_copied(self):
        original = os.symlink
        self.addCleanup(setattr, os, "symlink", original)

        def refuse(*_):
            raise OSError("no right to make links")

        os.symlink = refuse
        route = self.route(self.read(shift=5))
        staging.prepare(route)
        self.assertTrue(os.path.isfile(staging.file_of(route.pattern, 1001)))

    def test_what_the_engine_can_not_read_or_place_is_written(self):
        unknown = self.read()
        unknown.read.colorspace = ""
        self.assertTrue(self.route(unknown).staged)
        self.assertFalse(self.route(unknown, colour=False).staged, "a hint has no colour")
        unknown.read.raw = True
        self.assertFalse(self.route(unknown).staged, "its numbers are the host's own")
        self.assertTrue(self.route(self.read(suffix=".mov")).staged)
        self.assertTrue(self.route(self.read(), frames=(1000, 1001)).staged, "a frame that the host holds")

    # What has to be written

    def test_frames_are_written_once(self):
        first = self.route(self.staged())
        self.assertEqual(first.frames, self.frames)
        self.write_frames(first)
        self.assertEqual(self.route(self.staged()).frames, ())
        self.assertEqual(self.route(self.staged(), frames=(1001, 1004)).frames, (1004,))

    def test_another_state_of_the_input_has_another_folder(self):
        first = self.route(self.staged())
        self.write_frames(first)
        self.assertNotEqual(self.route(self.staged(tree="other")).pattern, first.pattern)
        write(self.path("src", "p.1.exr"), "written again")
        self.assertEqual(self.route(self.staged()).frames, self.frames)

    def test_a_frame_that_was_touched_is_written_again(self):
        route = self.route(self.staged())
        self.write_frames(route)
        write(staging.file_of(route.pattern, 1002), "cut")
        os.remove(staging.file_of(route.pattern, 1003))
        self.assertEqual(self.route(self.staged()).frames, (1002, 1003))

    def test_a_frame_that_was_not_written_is_named(self):
        for leave in (lambda path: None, lambda path: write(path, "")):
            route = self.route(self.staged(tree=str(leave)))
            staging.prepare(route)
            for frame in (1001, 1003):
                write(staging.file_of(route.pattern, frame))
            leave(staging.file_of(route.pattern, 1002))
            with self.assertRaisesRegex(Refused, "plate: frame 1002 was not written"):
                staging.record(route)

    def test_a_folder_that_can_not_be_made_is_named(self):
        write(self.path("stage"))
        with self.assertRaisesRegex(Refused, r"plate: .*stage.* can't be written .*choose another output folder"):
            staging.prepare(self.route(self.staged()))

    # Versions

    def test_versions_count_up_and_are_never_given_twice(self):
        names = [os.path.basename(staging.next_version(self.folder)) for _ in range(2)]
        os.mkdir(self.path("v041"))
        os.mkdir(self.path("notes"))
        names.append(os.path.basename(staging.next_version(self.folder)))
        self.assertEqual(names, ["v001", "v002", "v042"])

    def test_a_version_that_somebody_else_just_made_is_left_to_him(self):
        listdir = os.listdir
        self.addCleanup(setattr, os, "listdir", listdir)
        os.mkdir(self.path("v001"))
        os.listdir = lambda path: []
        self.assertEqual(staging.next_version(self.folder), self.path("v002"))

    def test_a_folder_that_is_no_whole_path_or_not_writable_is_refused(self):
        with self.assertRaisesRegex(Refused, "no whole path"):
            staging.next_version("shots/a")
        write(self.path("file"))
        with self.assertRaisesRegex(Refused, "can't be written"):
            staging.next_version(self.path("file", "below"))

    def test_a_failed_solve_leaves_nothing_but_what_the_engine_wrote(self):
        out = staging.next_version(self.folder)
        staging.write_manifest(out, {}, [], True)
        staging.discard(out)
        self.assertFalse(os.path.exists(out))
        out = staging.next_version(self.folder)
        write(os.path.join(out, "object1", "object1.1001.exr"))
        staging.discard(out)
        self.assertTrue(os.path.isdir(out))

    # Manifest

    def test_a_result_is_fresh_until_a_word_a_tree_or_a_file_changes(self):
        seen = [self.read()]
        said = {"quality": "draft", "names": {"mask1": "a"}, "ocio": ""}
        manifest = staging.write_manifest(self.folder, said, seen, False)
        self.assertEqual(staging.changes(manifest, said, seen), [])
        other = dict(said, quality="final", ocio="/c.ocio")
        self.assertEqual(staging.changes(manifest, other, seen),
                         ["ocio was empty, is /c.ocio", "quality was draft, is final"])
        self.assertEqual(staging.changes(manifest, said, []), ["plate was disconnected"])
        self.assertEqual(staging.changes(manifest, said, [*seen, Seen("mask1", "", [])]), ["mask1 was connected"])
        seen[0].tree = "another"
        self.assertEqual(staging.changes(manifest, said, seen), ["something above plate changed"])
        seen[0].tree = "tree"
        write(seen[0].sources[1], "written again, longer")
        self.assertEqual(staging.changes(manifest, said, seen), [seen[0].sources[1] + " was written again or removed"])

    def test_a_manifest_that_is_gone_or_broken_is_named(self):
        for content in (None, "{", "[]"):
            if content is not None:
                write(self.path("manifest.json"), content)
            with self.assertRaisesRegex(Refused, r"manifest\.json is gone or can't be read"):
                staging.changes(self.path("manifest.json"), {}, [])

    def test_results_are_the_folders_that_are_there(self):
        for name in ("walker", "layers", "confidence"):
            os.mkdir(self.path(name))
        values = dict(VALUES, mask1_name="walker", mask2_name="")
        found = {output.label: pattern for output, pattern in staging.results(NODE, self.folder, values)}
        self.assertEqual(found["object 1"], self.path("walker", "walker.####.exr").replace("\\", "/"))
        self.assertEqual(found["all layers"], self.path("layers", "layers.####.exr").replace("\\", "/"))
        for label in ("object 2", "object 3", "background", "canvas"):
            self.assertEqual(found[label], NODE.no_result)
        self.assertNotIn("plate", found)
        nothing = staging.results(NODE, "", values)
        self.assertEqual({pattern for _, pattern in nothing}, {NODE.no_result})


class Jobs(unittest.TestCase):
    def said(self, inputs=("plate", "mask1", "mask3"), **values):
        return staging.words(NODE, dict(VALUES, **values), inputs, (1001, 1002, 1003), "scene_linear", "/c.ocio")

    def job(self, said, **patterns):
        given = {"plate": "/p.####.exr", "mask1": "/a.####.exr", "mask3": "/b.####.exr"}
        given.update(patterns)
        return staging.build_job(NODE, said, given, "/out")

    def test_the_job_of_a_node(self):
        job = self.job(self.said(mask3_name="dog", seed=3))
        self.assertIsInstance(job, OmnimatteJob)
        self.assertEqual((job.plate, job.out, job.frames), ("/p.####.exr", "/out", "1001-1003"))
        self.assertEqual((job.colorspace, job.ocio, job.seed), ("scene_linear", "/c.ocio", 3))
        self.assertEqual([(m.name, m.pattern) for m in job.masks], [("object1", "/a.####.exr"), ("dog", "/b.####.exr")])
        self.assertEqual(parse_frames(job.frames), (1001, 1002, 1003))

    def test_wrong_words_are_refused(self):
        for values, message in (
            (dict(mask1_name="layers"), "reserved"),
            (dict(mask1_name="same", mask3_name="same"), "twice"),
            (dict(mask1_name=""), "use a letter"),
            (dict(seed=-1), "seed -1"),
        ):
            with self.assertRaisesRegex(Refused, message):
                self.job(self.said(**values))
        with self.assertRaisesRegex(Refused, "no absolute path"):
            self.job(self.said(), plate="p.####.exr")

    def test_inputs_that_are_needed(self):
        staging.check_inputs(NODE, ["plate", "mask2"], {})
        with self.assertRaisesRegex(Refused, "nothing is connected to plate"):
            staging.check_inputs(NODE, ["mask1"], {})
        with self.assertRaisesRegex(Refused, "no mask is connected"):
            staging.check_inputs(NODE, ["plate"], {})

    def test_inputs_that_another_one_or_a_knob_stands_in_for(self):
        for connected in (["plate", "clean"], ["plate", "mask"]):
            staging.check_inputs(CLEAN_PLATE_MATTE, connected, {})
        with self.assertRaisesRegex(Refused, "nothing is connected to clean; connect it, or mask$"):
            staging.check_inputs(CLEAN_PLATE_MATTE, ["plate"], {})
        staging.check_inputs(MATTE_NODE, ["plate"], {"model": "rvm"})
        with self.assertRaisesRegex(Refused, "nothing is connected to keyframe; connect it, or set model to rvm"):
            staging.check_inputs(MATTE_NODE, ["plate"], {"model": "small"})

    def test_the_range_is_the_inputs_or_the_users(self):
        self.assertEqual(staging.chosen_range(VALUES, (5, 9)), (5, 9))
        self.assertEqual(staging.chosen_range(dict(VALUES, range="custom", first=6, last=7), (5, 9)), (6, 7))


class Keyframes(unittest.TestCase):
    def values(self, node, **changed):
        return dict({knob.name: knob.default for knob in node.knobs}, **changed)

    def job(self, node, patterns, **changed):
        values = self.values(node, **changed)
        said = staging.words(node, values, list(patterns), (1001, 1002, 1003), "scene_linear", "/c.ocio")
        return staging.build_job(node, said, patterns, "/out")

    def test_a_keyframe_for_each_listed_frame(self):
        patterns = {"plate": "/p.####.exr", "keyframe": "/t.####.exr"}
        job = self.job(TRIMAP_PROPAGATE, patterns, keyframes="1001, 1003", layer_name="hair")
        self.assertEqual(job.keyframes, [Keyframe("hair", 1001, "/t.1001.exr"), Keyframe("hair", 1003, "/t.1003.exr")])
        with self.assertRaisesRegex(Refused, "1009 is none of"):
            self.job(TRIMAP_PROPAGATE, patterns, keyframes="1009")

    def test_a_matte_without_keyframes_is_for_a_network_that_needs_none(self):
        job = self.job(MATTE_NODE, {"plate": "/p.####.exr"}, model="rvm")
        self.assertEqual((job.keyframes, job.model), ([], "rvm"))
        with self.assertRaisesRegex(Refused, "learns from finished mattes"):
            self.job(MATTE_NODE, {"plate": "/p.####.exr"})

    def test_only_its_keyframes_are_read_of_a_keyframe_input(self):
        frames, values = (1001, 1002, 1003), self.values(TRIMAP_PROPAGATE, keyframes="1002")
        self.assertEqual(staging.frames_of_input(TRIMAP_PROPAGATE, "plate", values, frames), frames)
        self.assertEqual(staging.frames_of_input(TRIMAP_PROPAGATE, "keyframe", values, frames), (1002,))
        for text, message in (("", "no keyframe is listed"), ("first", "no frame range")):
            with self.assertRaisesRegex(Refused, message):
                staging.frames_of_input(TRIMAP_PROPAGATE, "keyframe", dict(values, keyframes=text), frames)

    def test_the_button_adds_a_frame_and_takes_it_out(self):
        self.assertEqual(staging.keyed("", 1002), "1002")
        self.assertEqual(staging.keyed("1002", 1001), "1001,1002")
        self.assertEqual(staging.keyed("1001-1003", 1002), "1001,1003")
        with self.assertRaisesRegex(Refused, "no frame range"):
            staging.keyed("one", 1001)

    def test_other_keyframes_make_a_result_stale(self):
        said = [staging.words(TRIMAP_PROPAGATE, self.values(TRIMAP_PROPAGATE, keyframes=keys), ["plate", "keyframe"],
                              (1001,), "scene_linear", "") for keys in ("1001", "1001,1002")]
        self.assertNotEqual(said[0], said[1])
        self.assertIn("keyframes", TRIMAP_PROPAGATE.solve_knobs)


class CleanPlates(unittest.TestCase):
    def job(self, **patterns):
        values = {knob.name: knob.default for knob in CLEAN_PLATE_MATTE.knobs}
        given = dict({"plate": "/p.####.exr"}, **patterns)
        said = staging.words(CLEAN_PLATE_MATTE, values, list(given), (1001, 1002), "scene_linear", "")
        return staging.build_job(CLEAN_PLATE_MATTE, said, given, "/out")

    def test_the_mask_is_that_of_the_subject(self):
        job = self.job(clean="/c.exr", mask="/m.####.exr")
        self.assertEqual((job.clean_plate, job.masks), ("/c.exr", [Mask("subject", "/m.####.exr")]))
        self.assertEqual(self.job(clean="/c.exr").masks, [])

    def test_without_a_clean_plate_the_shot_finds_its_own(self):
        self.assertEqual(self.job(mask="/m.####.exr").clean_plate, "auto")
        with self.assertRaisesRegex(Refused, "auto finds the background around the masks"):
            self.job()

    def test_pictures_in_two_spaces_are_all_written_by_the_host(self):
        frames = {"plate": (1, 2), "clean": (1, 2)}

        def routes(space):
            reads = [ReadFiles({1: "/p.1.exr", 2: "/p.2.exr"}, "ACEScg"), ReadFiles({1: "/c.exr", 2: "/c.exr"}, space)]
            seen = [Seen(name, "", [], reads[index]) for index, name in enumerate(frames)]
            return staging.route_all(CLEAN_PLATE_MATTE, seen, frames, "/stage")

        self.assertEqual([route.staged for route in routes("ACEScg")], [False, False])
        self.assertEqual([route.frames for route in routes("sRGB")], [(1, 2), (1, 2)])


if __name__ == "__main__":
    unittest.main()
