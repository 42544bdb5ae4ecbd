"""Finding and starting the engine. Standard library only, as on a host: `python3.7 -m unittest` runs it too."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import penumbra
from penumbra import launcher, protocol
from penumbra.client import EngineUnavailable, Runtime

PLUGIN = str(Path(penumbra.__file__).resolve().parents[1])

# Answers to hello as an engine does, and writes down how it was started.
ENGINE = """
import json, os, sys
sys.path.insert(0, {plugin!r})
from http.server import BaseHTTPRequestHandler, HTTPServer
from penumbra import launcher

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(state="ready", worker="idle", device="cpu", version="1", protocol=1,
            pid=os.getpid(), uptime=1.0, queued=0, running="", log="")).encode())

server = HTTPServer(("127.0.0.1", 0), Handler)
session = os.getsid(0) if hasattr(os, "getsid") else 0
with (launcher.home() / "starts").open("a") as starts:
    starts.write(json.dumps(dict(words=sys.argv[1:], environ=dict(os.environ), folder=os.getcwd(), session=session)))
    starts.write("\\n")
runtime = dict(pid=os.getpid(), start_time=launcher.process_start(os.getpid()), host="127.0.0.1",
    port=server.server_address[1], socket="", token="t", version="1", protocol={protocol}, log="")
path = launcher.runtime_path()
path.parent.mkdir(parents=True, exist_ok=True)
path.with_name("new").write_text(json.dumps(runtime))
os.replace(str(path.with_name("new")), str(path))
server.serve_forever()
"""


class LauncherTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name, "home with spaces and \u00e9")
        self.home.mkdir()
        clean = mock.patch.dict(os.environ, {"PENUMBRA_HOME": str(self.home)})
        clean.start()
        self.addCleanup(clean.stop)
        os.environ.pop("PENUMBRA_ENGINE", None)

    def write_runtime(self, **changed):
        me = os.getpid()
        runtime = Runtime(me, launcher.process_start(me), "127.0.0.1", 1, "", "t", "1", protocol.PROTOCOL_VERSION, "")
        launcher.runtime_path().parent.mkdir(parents=True, exist_ok=True)
        launcher.runtime_path().write_text(json.dumps(dict(asdict(runtime), **changed)))

    def fake_engine(self, text=ENGINE):
        script = self.home / "engine.py"
        script.write_text(text.format(plugin=PLUGIN, protocol=protocol.PROTOCOL_VERSION))
        self.addCleanup(self.end_engine)
        return [sys.executable, str(script)]

    def end_engine(self):
        runtime = launcher.read_runtime()
        if runtime and launcher.process_start(runtime.pid) == runtime.start_time:
            os.kill(runtime.pid, signal.SIGTERM)
            os.waitpid(runtime.pid, 0)

    def starts(self):
        return [json.loads(line) for line in (self.home / "starts").read_text().splitlines()]


class Home(LauncherTest):
    def test_the_variable_chooses_it(self):
        with mock.patch.dict(os.environ, {"PENUMBRA_HOME": "~/there", "HOME": "/h", "USERPROFILE": "/h"}):
            self.assertEqual(launcher.home(), Path("/h/there"))

    def test_each_system_has_its_own_place(self):
        surroundings = {"HOME": "/h", "USERPROFILE": "/h", "LOCALAPPDATA": "/h/local"}
        with mock.patch.dict(os.environ, surroundings):
            del os.environ["PENUMBRA_HOME"]
            for platform, place in [
                ("linux", "/h/.local/share/penumbra"),
                ("darwin", "/h/Library/Application Support/Penumbra"),
                ("win32", "/h/local/Penumbra"),
            ]:
                with self.subTest(platform), mock.patch.object(sys, "platform", platform):
                    self.assertEqual(launcher.home(), Path(place))


class Find(LauncherTest):
    def test_without_a_runtime_file_there_is_none(self):
        self.assertIsNone(launcher.find_engine())

    def test_a_file_that_says_nothing_counts_as_none(self):
        launcher.runtime_path().parent.mkdir(parents=True)
        for text in ["", "{", "[]", '{"pid": 1}']:
            launcher.runtime_path().write_text(text)
            with self.subTest(text):
                self.assertIsNone(launcher.find_engine())

    def test_an_engine_that_died_counts_as_none(self):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        self.write_runtime(pid=gone.pid)
        self.assertIsNone(launcher.find_engine())

    def test_another_process_with_the_engine_s_pid_counts_as_none(self):
        self.write_runtime(start_time="long ago", protocol=99)
        self.assertIsNone(launcher.find_engine())

    def test_a_process_that_does_not_say_hello_counts_as_none(self):
        self.write_runtime(port=1)
        self.assertIsNone(launcher.find_engine())

    def test_an_engine_of_another_protocol_is_an_error_that_says_what_to_do(self):
        self.write_runtime(protocol=99, a_field_of_the_future=1)
        with self.assertRaises(EngineUnavailable) as raised:
            launcher.find_engine()
        self.assertIn("protocol 99", str(raised.exception))
        self.assertIn(f"process {os.getpid()}", str(raised.exception))


class Command(LauncherTest):
    def test_the_variable_goes_first(self):
        (self.home / "engine.json").write_text('{"command": ["/other"]}')
        with mock.patch.dict(os.environ, {"PENUMBRA_ENGINE": sys.executable}):
            self.assertEqual(launcher.engine_command(), [sys.executable])

    def test_a_variable_that_names_nothing_is_an_error(self):
        os.environ["PENUMBRA_ENGINE"] = "/no/such"
        with self.assertRaises(EngineUnavailable) as raised:
            launcher.engine_command()
        self.assertIn("'/no/such'", str(raised.exception))

    def test_the_installation_says_it_else(self):
        (self.home / "engine.json").write_text('{"command": ["/a b/penumbra", "-x"]}')
        self.assertEqual(launcher.engine_command(), ["/a b/penumbra", "-x"])

    def test_without_an_installation_the_error_says_how_to_make_one(self):
        with self.assertRaises(EngineUnavailable) as raised:
            launcher.ensure_engine()
        self.assertIn("install.py", str(raised.exception))

    def test_a_broken_file_is_named(self):
        for text in ["", "[]", "{}", '{"command": 3}']:
            (self.home / "engine.json").write_text(text)
            with self.subTest(text), self.assertRaises(EngineUnavailable) as raised:
                launcher.engine_command()
            self.assertIn(str(self.home / "engine.json"), str(raised.exception))


class Start(LauncherTest):
    def test_it_is_started_once_apart_and_in_a_clean_environment(self):
        foreign = {
            "PYTHONPATH": "/host", "PYTHONHOME": "/host", "PYTHONNOUSERSITE": "1", "LD_LIBRARY_PATH": "/host",
            "LD_PRELOAD": "", "DYLD_INSERT_LIBRARIES": "/host", "QT_API": "pyside2", "QT_PLUGIN_PATH": "/host",
        }
        kept = {"OCIO": "/config.ocio", "CUDA_VISIBLE_DEVICES": "1", "PENUMBRA_HOME": str(self.home)}
        with mock.patch.dict(os.environ, dict(foreign, **kept)):
            runtime = launcher.ensure_engine(self.fake_engine())
            self.assertEqual(launcher.ensure_engine(["/not/needed"]), runtime)
        start, = self.starts()
        self.assertEqual(start["words"], ["serve", "--idle-exit", str(launcher.IDLE_EXIT_MINUTES)])
        self.assertEqual(set(foreign) & set(start["environ"]), set())
        self.assertEqual({name: start["environ"].get(name) for name in kept}, kept)
        self.assertEqual(Path(start["folder"]), self.home.resolve())
        if hasattr(os, "getsid"):
            self.assertEqual(start["session"], runtime.pid)

    def test_a_stale_runtime_file_does_not_keep_it_from_starting(self):
        self.write_runtime(start_time="long ago")
        self.assertNotEqual(launcher.ensure_engine(self.fake_engine()).pid, os.getpid())

    def test_two_that_start_it_at_once_get_the_same_one(self):
        command = self.fake_engine()
        found = []
        threads = [threading.Thread(target=lambda: found.append(launcher.ensure_engine(command))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.starts()), 1)
        self.assertEqual(found, [found[0]] * 3)

    def test_one_that_ends_at_its_start_is_an_error_with_the_end_of_its_log(self):
        launcher.log_path().parent.mkdir()
        launcher.log_path().write_text("of an earlier engine\n")
        command = self.fake_engine("print('no such port'); raise SystemExit(5)")
        with self.assertRaises(EngineUnavailable) as raised:
            launcher.ensure_engine(command)
        message = str(raised.exception)
        self.assertIn("ended with code 5", message)
        self.assertIn("no such port", message)
        self.assertIn(str(launcher.log_path()), message)
        self.assertNotIn("of an earlier engine", message)

    def test_one_that_stays_silent_is_an_error(self):
        command = self.fake_engine("import time; time.sleep(60)")
        with self.assertRaises(EngineUnavailable) as raised:
            launcher.start_engine(command, timeout=1.0)
        self.assertIn("does not answer", str(raised.exception))
        pid = int(re.findall(r"process (\d+)", str(raised.exception))[0])
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)

    def test_one_that_can_t_be_called_is_an_error(self):
        with self.assertRaises(EngineUnavailable) as raised:
            launcher.start_engine([str(self.home / "nothing here")])
        self.assertIn("nothing here", str(raised.exception))


class LockTest(LauncherTest):
    def test_one_holder_at_a_time(self):
        first, second = launcher.Lock(self.home / "a" / "lock"), launcher.Lock(self.home / "a" / "lock")
        self.assertTrue(first.take())
        self.assertFalse(second.take())
        first.release()
        self.assertTrue(second.take())
        second.release()

    def test_a_holder_that_dies_frees_it(self):
        path = self.home / "lock"
        code = (
            f"import os, sys, pathlib; sys.path.insert(0, {PLUGIN!r}); from penumbra.launcher import Lock; "
            f"print(Lock(pathlib.Path({str(path)!r})).take(), flush=True); os._exit(1)"
        )
        holder = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
        self.assertEqual(holder.stdout.split(), [b"True"])
        lock = launcher.Lock(path)
        self.assertTrue(lock.take())
        lock.release()


class ProcessStart(LauncherTest):
    def test_it_is_the_same_for_the_same_process_only(self):
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            self.assertEqual(launcher.process_start(other.pid), launcher.process_start(other.pid))
            self.assertIsNotNone(launcher.process_start(other.pid))
            other.kill()
        self.assertIsNone(launcher.process_start(other.pid))

    @unittest.skipUnless(sys.platform.startswith("linux"), "zombies are looked at on Linux")
    def test_a_process_that_ended_but_was_not_waited_for_is_gone(self):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        self.assertIsNone(launcher.process_start(child))
        os.waitpid(child, 0)


if __name__ == "__main__":
    unittest.main()
