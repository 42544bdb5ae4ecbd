"""The nodes as data: what hosts, generator and wire rely on. Runs on Python 3.7 too, so plain unittest."""

import dataclasses
import unittest

from penumbra.nodes import CUSTOM, NODES, OMNIMATTE_LAYERS, PLATE_OUTPUT, Kind
from penumbra.protocol import JOB_KINDS, RESERVED_NAMES, check_names


class Nodes(unittest.TestCase):
    def test_every_node_fills_the_fields_of_its_job(self):
        for node in NODES.values():
            fields = {field.name for field in dataclasses.fields(JOB_KINDS[node.kind])}
            filled = {knob.job for knob in node.job_knobs} | {given.job for given in node.inputs} | {"out", "frames"}
            self.assertEqual(filled - fields, set())
            needed = {f.name for f in dataclasses.fields(JOB_KINDS[node.kind]) if f.default is dataclasses.MISSING}
            self.assertEqual(needed - filled - {"masks"}, set())

    def test_defaults_are_those_of_the_job(self):
        for node in NODES.values():
            defaults = {field.name: field.default for field in dataclasses.fields(JOB_KINDS[node.kind])}
            for knob in node.job_knobs:
                if defaults[knob.job] is not dataclasses.MISSING:
                    self.assertEqual(knob.default, defaults[knob.job], knob.name)

    def test_knobs_have_names_of_their_own_and_defaults_that_can_be_chosen(self):
        for node in NODES.values():
            names = [knob.name for knob in node.knobs]
            self.assertEqual(len(names), len(set(names)))
            for knob in node.knobs:
                self.assertRegex(knob.name, r"\A[a-z][a-z0-9_]*\Z")
                if knob.kind is Kind.CHOICE:
                    self.assertIn(knob.default, knob.choices)
                self.assertTrue(knob.tooltip or knob.kind is Kind.RULE, knob.name)

    def test_inputs_are_those_of_the_contract(self):
        names = [given.name for given in OMNIMATTE_LAYERS.inputs]
        self.assertEqual(names, ["plate", "mask1", "mask2", "mask3", "mask4"])
        objects = [OMNIMATTE_LAYERS.knob(g.name_knob).default for g in OMNIMATTE_LAYERS.inputs if g.name_knob]
        check_names(objects)

    def test_outputs_are_folders_of_the_contract_or_of_objects(self):
        for output in OMNIMATTE_LAYERS.outputs:
            if output is not PLATE_OUTPUT:
                self.assertTrue(output.folder.startswith("{mask") or output.folder in RESERVED_NAMES, output.folder)
        self.assertIs(OMNIMATTE_LAYERS.outputs[-1], PLATE_OUTPUT)
        self.assertEqual(OMNIMATTE_LAYERS.knob("output").default, "object 1")

    def test_what_a_node_remembers_is_hidden_and_never_part_of_the_job(self):
        for name in ("stale", "badge", "result", "manifest", "pending", "pending_job", "node_uuid", "version"):
            knob = OMNIMATTE_LAYERS.knob(name)
            self.assertTrue(knob.hidden and not knob.job, name)

    def test_texts_can_stand_in_a_nuke_script(self):
        for node in NODES.values():
            texts = [node.help, *(knob.tooltip + knob.label for knob in node.knobs)]
            for text in texts:
                self.assertEqual(set(text) & set("[]{}$\\"), set(), text)

    def test_no_knob_takes_the_name_of_one_that_every_nuke_node_has(self):
        taken = {"name", "label", "help", "tile_color", "selected", "xpos", "ypos", "cached", "disable", "icon"}
        for node in NODES.values():
            self.assertEqual({knob.name for knob in node.knobs} & taken, set(), node.name)

    def test_names_and_frames_of_inputs_are_knobs(self):
        for node in NODES.values():
            for given in node.inputs:
                for knob in filter(None, (given.name_knob, given.frames_knob)):
                    self.assertIs(node.knob(knob).kind, Kind.STRING, knob)

    def test_an_unknown_knob_is_an_error(self):
        with self.assertRaises(KeyError):
            OMNIMATTE_LAYERS.knob("quallity")

    def test_the_range_makes_a_result_stale_and_the_output_does_not(self):
        self.assertIn("range", OMNIMATTE_LAYERS.solve_knobs)
        self.assertIn("mask3_name", OMNIMATTE_LAYERS.solve_knobs)
        self.assertNotIn("output", OMNIMATTE_LAYERS.solve_knobs)
        self.assertIn(CUSTOM, OMNIMATTE_LAYERS.knob("range").choices)


if __name__ == "__main__":
    unittest.main()
