"""The client against a small server of our own. Standard library only: `python3.7 -m unittest` runs it too."""

import json
import socket
import socketserver
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from penumbra.client import Client, EngineUnavailable, RequestRefused, Runtime
from penumbra.protocol import Event, Failure, Health, JobState, JobStatus, Mask, OmnimatteJob, Progress, to_wire

JOB = OmnimatteJob("/plate.exr", "1-3", "ACEScg", "/out", masks=[Mask("a", "/a.png")])
STATUS = JobStatus("j1", "omnimatte", JobState.QUEUED, 1.0, 1)
HEALTH = Health("ready", "idle", "cpu", "1", 1, 7, 2.0, 0, "", "/log")


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """Answers each request with the next of `answers`: (status, body), body bytes or a message or a list of them."""

    daemon_threads = True

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.requests = []
        self.streaming, self.hang_up = threading.Event(), threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def client(self, **settings):
        runtime = Runtime(1, "s", "127.0.0.1", self.server_address[1], "", "the-token", "1", 1, "/the/log")
        return Client(runtime, **settings)


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.requests.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        status, body = self.server.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        if body is Ellipsis:  # a stream that stays open and silent
            self.wfile.write(b": heartbeat\n\n")
            self.server.streaming.set()
            self.server.hang_up.wait(30)
            return
        if not isinstance(body, bytes):
            body = json.dumps([to_wire(one) for one in body] if isinstance(body, list) else to_wire(body)).encode()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


def stream(*events, **more):
    """The bytes of an event stream."""
    text = "".join(f"id: {event.seq}\ndata: {json.dumps(to_wire(event))}\n\n" for event in events)
    return text.encode() + more.get("then", b"")


RUNNING = Event(2, JobState.RUNNING, Progress("fit", 1, 9, 0.1))
LATER = Event(3, JobState.RUNNING, Progress("fit", 2, 9, 0.2))
DONE = Event(4, JobState.DONE)


class ClientTest(unittest.TestCase):
    def serve(self, *answers):
        server = Server(*answers)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(server.hang_up.set)
        return server

    def test_each_call_asks_for_its_own_thing_and_brings_the_token(self):
        server = self.serve((201, STATUS), (200, STATUS), (200, [STATUS]), (200, STATUS), (200, HEALTH),
                            (200, b'{"message": "freed"}'), (202, b'{"message": "bye"}'))
        client = server.client()
        self.assertEqual(client.submit(JOB, "key-1"), STATUS)
        self.assertEqual(client.status("j1"), STATUS)
        self.assertEqual(client.jobs(), [STATUS])
        self.assertEqual(client.cancel("j/2"), STATUS)
        self.assertEqual(client.health(), HEALTH)
        self.assertEqual(client.release_gpu(), "freed")
        self.assertEqual(client.shutdown(), "bye")
        self.assertEqual([request[:2] for request in server.requests], [
            ("POST", "/v1/jobs"), ("GET", "/v1/jobs/j1"), ("GET", "/v1/jobs"), ("DELETE", "/v1/jobs/j%2F2"),
            ("GET", "/v1/health"), ("POST", "/v1/gpu/release"), ("POST", "/v1/shutdown")])
        self.assertEqual({request[2]["Authorization"] for request in server.requests}, {"Bearer the-token"})
        self.assertEqual(server.requests[0][2]["Idempotency-Key"], "key-1")
        self.assertEqual(json.loads(server.requests[0][3].decode()), to_wire(JOB))

    def test_a_refusal_carries_the_engine_s_failure(self):
        failure = Failure(2, "unknown field 'qualty'", "qualty")
        with self.assertRaises(RequestRefused) as raised:
            self.serve((422, failure)).client().submit(JOB)
        self.assertEqual(raised.exception.failure, failure)
        self.assertEqual(str(raised.exception), failure.message)

    def test_no_engine_is_one_error_that_names_process_and_log(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        runtime = Runtime(4711, "s", "127.0.0.1", port, "", "t", "1", 1, "/the/log")
        with self.assertRaises(EngineUnavailable) as raised:
            Client(runtime).health()
        self.assertIn("4711", str(raised.exception))
        self.assertIn("/the/log", str(raised.exception))
        self.assertEqual(raised.exception.failure.code, 5)

    def test_what_is_no_engine_is_said_to_be_none(self):
        for status, body in [(200, b"<html>"), (404, b"nothing here"), (200, b"[]"), (200, b'{"a": 1}'), (500, b"{}")]:
            with self.subTest(body=body), self.assertRaises(EngineUnavailable) as raised:
                self.serve((status, body)).client().health()
            self.assertIn("does not speak", str(raised.exception))

    def test_watch_gives_every_event_and_skips_heartbeats(self):
        server = self.serve((200, b": heartbeat\n\n" + stream(RUNNING, LATER) + b": heartbeat\n\n" + stream(DONE)))
        self.assertEqual(list(server.client().watch("j1", 1)), [RUNNING, LATER, DONE])
        self.assertEqual(server.requests[0][1], "/v1/jobs/j1/events?after=1")

    def test_watch_rejoins_after_the_last_event_when_the_stream_breaks(self):
        at_two = JobStatus("j1", "omnimatte", JobState.RUNNING, 1.0, 2, RUNNING.progress)
        half = b'id: 3\ndata: {"seq": 3, "sta'
        server = self.serve((200, stream(RUNNING, then=half)), (200, at_two), (200, stream(LATER, DONE)))
        pauses = []
        client = server.client(pause=pauses.append)
        self.assertEqual(list(client.watch("j1")), [RUNNING, LATER, DONE])
        self.assertEqual([request[1] for request in server.requests],
                         ["/v1/jobs/j1/events?after=0", "/v1/jobs/j1", "/v1/jobs/j1/events?after=2"])
        self.assertEqual(len(pauses), 1)

    def test_watch_polls_where_no_stream_comes_through(self):
        at_two = JobStatus("j1", "omnimatte", JobState.RUNNING, 1.0, 2, RUNNING.progress)
        at_end = JobStatus("j1", "omnimatte", JobState.DONE, 1.0, 4)
        server = self.serve((200, b""), (200, at_two), (200, b""), (200, at_end))
        events = list(server.client(pause=lambda seconds: None).watch("j1"))
        self.assertEqual(events, [RUNNING, DONE])

    def test_watch_of_a_job_whose_end_was_seen_ends(self):
        at_end = JobStatus("j1", "omnimatte", JobState.DONE, 1.0, 4)
        self.assertEqual(list(self.serve((200, b""), (200, at_end)).client().watch("j1", 4)), [])

    def test_watch_gives_up_on_an_engine_that_stays_silent(self):
        server = self.serve((200, stream(RUNNING)))
        client = server.client(patience=0.0, pause=lambda seconds: None)
        events = client.watch("j1")
        self.assertEqual(next(events), RUNNING)
        server.shutdown()
        server.server_close()
        with self.assertRaises(EngineUnavailable):
            list(events)

    def test_watch_of_an_unknown_job_is_refused(self):
        failure = Failure(2, "the engine knows no job 'j9'", "job")
        with self.assertRaises(RequestRefused) as raised:
            list(self.serve((404, failure)).client().watch("j9"))
        self.assertEqual(raised.exception.failure, failure)

    def test_close_ends_a_watch_that_waits(self):
        server = self.serve((200, Ellipsis))
        client = server.client()
        events = []
        watching = threading.Thread(target=lambda: events.extend(client.watch("j1")), daemon=True)
        watching.start()
        self.assertTrue(server.streaming.wait(20))
        client.close()
        watching.join(20)
        self.assertFalse(watching.is_alive())
        self.assertEqual(events, [])

    @unittest.skipUnless(hasattr(socket, "AF_UNIX"), "no socket files on this system")
    def test_a_socket_file_serves_as_well_as_a_port(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            path = str(Path(folder, "s"))
            listener.bind(path)
            listener.listen(1)
            received = []

            def answer():
                connection = listener.accept()[0]
                with connection:
                    received.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(to_wire(HEALTH)).encode())

            threading.Thread(target=answer, daemon=True).start()
            self.assertEqual(Client(Runtime(1, "s", "", 0, path, "t", "1", 1, "")).health(), HEALTH)
        self.assertIn(b"Host: localhost\r\n", received[0])


if __name__ == "__main__":
    unittest.main()
