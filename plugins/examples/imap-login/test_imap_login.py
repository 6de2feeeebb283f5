"""Tests against a small IMAP server on this machine, which says what it is told. They need no gRPC."""
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import windsock_plugin as windsock
from imap_login import ImapLogin

GREETING = "* OK ready"
ANSWERS = {
    "CAPABILITY": ["* CAPABILITY IMAP4rev1", "TAG OK done"],
    "STARTTLS": ["TAG OK go on"],
    "LOGIN": ["TAG OK in"],
    "EXAMINE": ["* 3 EXISTS", "TAG OK [READ-ONLY] open"],
    "LOGOUT": ["* BYE", "TAG OK out"],
}


class Server:
    """Serves one connection after the other. answers holds lines by command; None says nothing and keeps the line open."""

    def __init__(self, greeting=GREETING, tls="", certificate=None, **answers):
        self.greeting, self.tls, self.answers, self.seen = greeting, tls, {**ANSWERS, **answers}, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate:
            self.context.load_cert_chain(certificate)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            try:
                connection = self.talk(connection)
            except OSError:
                pass  # the client hung up: what some of the tests are about
            connection.close()

    def talk(self, connection):
        if self.tls == "implicit":
            connection = self.context.wrap_socket(connection, server_side=True)
        lines, tag = connection.makefile("rb"), ""
        said = self.say(connection, lines, [self.greeting] if self.greeting else None)
        while said:
            line = lines.readline().decode("utf-8", "replace").strip()
            if not line:
                break
            self.seen.append(line)
            words = line.split(" ")
            tag, command = words[:2] if len(words) > 1 else (tag, "CONTINUED")
            said = self.say(connection, lines, [answer.replace("TAG", tag) for answer in self.answers.get(command) or ()])
            if command == "STARTTLS":
                connection = self.context.wrap_socket(connection, server_side=True)
                lines = connection.makefile("rb")
        return connection

    def say(self, connection, lines, answers):
        """Says the lines; without any, keeps quiet until the client hangs up."""
        if not answers:
            lines.read()
            return False
        connection.sendall("".join(answer + "\r\n" for answer in answers).encode())
        return True


class Context:
    """Stands for the agent's call: so many seconds, and an end at a time."""
    memory = b""

    def __init__(self, seconds=5.0):
        self.end, self.timers, self.seconds = time.monotonic() + seconds, [], seconds

    def remaining(self):
        return max(0.001, self.end - time.monotonic())

    @property
    def cancelled(self):
        return time.monotonic() >= self.end

    def on_cancel(self, function):
        timer = threading.Timer(self.seconds, function)
        timer.daemon = True
        timer.start()


class Env:
    def __init__(self):
        self.warnings = []

    def warn(self, pointer, text):
        self.warnings.append((pointer, text))


def make(env=None, **params):
    """An instance of these parameters, by the way that the library goes."""
    found = list(windsock.validate(params, ImapLogin.schema))
    if found:
        raise windsock.Invalid(*found[0])
    return ImapLogin(params, windsock.Secrets(pw="s3cret", odd="gehe\u00efm", line="a\r\nb"), env or Env())


class Tests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.certificate = os.path.join(cls.folder.name, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", cls.certificate,
                        "-out", cls.certificate + ".crt", "-days", "10", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        with open(cls.certificate, "a") as whole, open(cls.certificate + ".crt") as part:
            whole.write(part.read())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def see(self, server, seconds=5.0, **params):
        params = {"host": "127.0.0.1", "tls": "none", "user": "ann", "password": {"secret": "pw"}, **params}
        return make(port=server.port, **params).run(Context(seconds))

    def test_a_login(self):
        with Server() as server:
            seen = self.see(server)
        self.assertEqual((seen.status, seen.cause), (windsock.OK, ""), seen)
        self.assertEqual(seen.measurements["imap.mailbox.messages"], 3)
        self.assertEqual(list(seen.phases), ["resolve", "connect", "greeting", "login", "mailbox"])
        self.assertTrue(all(good for _, good, _ in seen.steps))
        self.assertEqual([line.split(" ", 1)[1] for line in server.seen],
                         ["CAPABILITY", 'LOGIN ann "s3cret"', 'EXAMINE "INBOX"', "LOGOUT"])

    def test_without_an_account_the_greeting_is_all(self):
        with Server() as server:
            seen = make(host="127.0.0.1", port=server.port, tls="none").run(Context())
        self.assertEqual(seen.status, windsock.OK, seen)
        self.assertEqual([line.split(" ")[1] for line in server.seen], ["CAPABILITY", "LOGOUT"])

    def test_a_password_that_is_not_ascii(self):
        plain = {"CAPABILITY": ["* CAPABILITY IMAP4rev1 AUTH=PLAIN", "TAG OK done"], "AUTHENTICATE": ["+ "], "CONTINUED": ["TAG OK in"]}
        with Server(**plain) as server:
            seen = self.see(server, password={"secret": "odd"})
        self.assertEqual(seen.status, windsock.OK, seen)
        self.assertIn("AGFubgBnZWhlw69t", server.seen)  # base64 of NUL ann NUL and the password in UTF-8
        with Server() as server:
            seen = self.see(server, password={"secret": "odd"})
        self.assertEqual(seen.cause, "bad_request", seen)

    def test_tls(self):
        for tls in "implicit", "starttls":
            more = {"CAPABILITY": ["* CAPABILITY IMAP4rev1 STARTTLS", "TAG OK done"]} if tls == "starttls" else {}
            with self.subTest(tls), Server(tls=tls, certificate=self.certificate, **more) as server:
                seen = self.see(server, host="localhost", tls=tls, ca_file=self.certificate)
                self.assertEqual(seen.status, windsock.OK, seen)
                self.assertAlmostEqual(seen.measurements["imap.certificate.remaining"], 10, delta=0.1)
                self.assertIn("tls", seen.phases)
                untrusted = self.see(server, host="localhost", tls=tls)
                self.assertEqual(untrusted.cause, "tls", untrusted)
                self.assertIn("self-signed certificate", untrusted.summary)
                alien = self.see(server, host="127.0.0.1", tls=tls, ca_file=self.certificate)
                self.assertEqual(alien.cause, "tls", alien)
                self.assertIn("not valid for", alien.summary)
                self.assertNotIn("s3cret", str(server.seen[-1]))

    def test_failures(self):
        cases = {
            "a wrong password": ("auth", "login of ann: [AUTHENTICATIONFAILED] no", {"LOGIN": ["TAG NO [AUTHENTICATIONFAILED] no"]}),
            "a right that is missing": ("forbidden", "[AUTHORIZATIONFAILED] no", {"LOGIN": ["TAG NO [AUTHORIZATIONFAILED] no"]}),
            "a backend that is away": ("server", "[UNAVAILABLE] later", {"LOGIN": ["TAG NO [UNAVAILABLE] later"]}),
            "a login that is not understood": ("bad_request", "does not understand phase login", {"LOGIN": ["TAG BAD what"]}),
            "a connection without TLS": ("bad_request", "set tls", {"CAPABILITY": ["* CAPABILITY IMAP4rev1 LOGINDISABLED", "TAG OK done"]}),
            "no such mailbox": ("assertion", "mailbox INBOX: none", {"EXAMINE": ["TAG NO none"]}),
            "a mailbox without a number": ("malformed", "how many messages", {"EXAMINE": ["TAG OK open"]}),
            "a server that is full": ("server", "too many", {"greeting": "* BYE too many"}),
            "another protocol": ("malformed", "does not speak IMAP", {"greeting": "SSH-2.0-x"}),
            "a farewell": ("server", "hung up in phase login", {"LOGIN": ["* BYE shutting down"]}),
            "no STARTTLS": ("tls", "does not offer STARTTLS", {"params": {"tls": "starttls"}}),
            "no TLS where it is wanted": ("tls", "handshake with", {"params": {"tls": "implicit"}}),
        }
        for name, (cause, text, answers) in cases.items():
            params = answers.pop("params", {})
            with self.subTest(name), Server(**answers) as server:
                seen = self.see(server, seconds=2, **params)
                self.assertEqual((seen.status, seen.cause), (windsock.FAILED, cause), seen)
                self.assertIn(text, seen.summary)
                self.assertFalse(seen.steps[-1][1], seen.steps)
                self.assertNotIn("s3cret", str(seen))

    def test_silence_ends_in_time(self):
        for phase, answers in {"greeting": {"greeting": None}, "login": {"LOGIN": None}, "mailbox": {"EXAMINE": None}}.items():
            with self.subTest(phase), Server(**answers) as server:
                began = time.monotonic()
                seen = self.see(server, seconds=0.3)
                self.assertLess(time.monotonic() - began, 2)
                self.assertEqual((seen.cause, seen.steps[-1][0]), ("timeout", phase), seen)

    def test_the_way(self):
        with Server() as server:
            port = server.port
        seen = make(host="127.0.0.1", port=port, tls="none").run(Context())
        self.assertEqual((seen.cause, seen.steps[-1][0]), ("connect", "connect"), seen)
        seen = make(host="mail.invalid", tls="none").run(Context())
        self.assertEqual((seen.cause, seen.steps[-1][0]), ("dns", "resolve"), seen)

    def test_slow_is_degraded(self):
        with Server() as server:
            seen = self.see(server, budget=1e-9)
        self.assertEqual((seen.status, seen.cause), (windsock.DEGRADED, "slow"), seen)

    def test_parameters(self):
        cases = {
            "no host": ("/host", {}),
            "a host that is none": ("/host", {"host": "imap://h"}),
            "a port that is none": ("/host", {"host": "h:x"}),
            "a user alone": ("/password", {"host": "h", "user": "ann"}),
            "a user with a line break": ("/user", {"host": "h", "user": "a\r\nb", "password": {"secret": "pw"}}),
            "a password with a line break": ("/password", {"host": "h", "user": "ann", "password": {"secret": "line"}}),
            "no such file": ("/ca_file", {"host": "h", "ca_file": "/nowhere"}),
        }
        for name, (pointer, params) in cases.items():
            with self.subTest(name), self.assertRaises(windsock.Invalid) as raised:
                make(**params)
            self.assertEqual(raised.exception.pointer, pointer)
        for host, want in {"h": ("h", 993), "h:1": ("h", 1), "::1": ("::1", 993), "[::1]:1": ("::1", 1), "192.0.2.1": ("192.0.2.1", 993)}.items():
            made = make(host=host)
            self.assertEqual((made.host, made.port), want)
        env = Env()
        make(env, host="h", tls="none", user="ann", password={"secret": "pw"})
        self.assertEqual([pointer for pointer, _ in env.warnings], ["/tls"])


if __name__ == "__main__":
    unittest.main()
