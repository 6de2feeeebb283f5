"""Whether people can get at their mail: the way to an IMAP server, its certificate, a login and a mailbox."""
import imaplib
import re
import socket
import ssl
import threading
import time
import urllib.parse

import windsock_plugin as windsock

PORTS = {"implicit": 993, "starttls": 143, "none": 143}
LOOPBACK = ("localhost", "127.0.0.1", "::1")

# What a server says in brackets (RFC 5530) tells more than its NO.
CAUSES = {
    "UNAVAILABLE": "server", "SERVERBUG": "server", "INUSE": "server", "CORRUPTION": "server", "LIMIT": "rate_limited",
    "AUTHORIZATIONFAILED": "forbidden", "NOPERM": "forbidden", "CONTACTADMIN": "forbidden", "PRIVACYREQUIRED": "bad_request",
}


def split(host):
    """The name and the port of name, name:port, address, [address]:port."""
    if host.count(":") > 1 and not host.startswith("["):
        return host, None
    try:
        parts = urllib.parse.urlsplit("//" + host)
        if parts.hostname and not parts.path:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise windsock.Invalid("/host", f"want a name or an address, and a port at the most, got {host}")


class Failure(Exception):
    """The walk ends here."""

    def __init__(self, cause, text):
        super().__init__(text)
        self.cause, self.text = cause, text


class ImapLogin(windsock.Check):
    """Connects to an IMAP server, verifies its certificate, logs in, opens a mailbox for reading and logs out.

    Without `user` and `password` the walk ends at the greeting. Nothing in the mailbox is changed: it is opened with
    EXAMINE, and no message is read. A login that the server refuses may count towards a lock of the account: use an account
    of its own, and an interval of a minute or more."""

    name = "imap-login"
    schema = windsock.params({
        "host": {"type": "string", "minLength": 1, "description": "Name or address of the server, or name:port."},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Otherwise 993 for implicit TLS, else 143."},
        "tls": {"enum": ["implicit", "starttls", "none"], "default": "implicit", "description": "How the connection is encrypted."},
        "ca_file": {"type": "string", "description": "PEM file of the authorities to trust, instead of the system's."},
        "user": {"type": "string", "pattern": "^[!#-\\[\\]-~]+$", "description": "Account to log in with."},
        "password": {**windsock.SECRET, "description": "Its password."},
        "mailbox": {"type": "string", "pattern": "^[ -~]*$", "default": "INBOX", "description": "Mailbox to open; empty: none."},
        "budget": {"type": "number", "minimum": 0, "default": 0, "description": "Seconds above which the walk is slow; 0: never."},
    }, required=["host"])
    measurements = [
        windsock.Measurement("imap.duration", "s", "Time from the name to the last answer."),
        windsock.Measurement("imap.login.duration", "s", "Time that the login took."),
        windsock.Measurement("imap.certificate.remaining", "d", "Days until the server's certificate ends."),
        windsock.Measurement("imap.mailbox.messages", "{message}", "Messages in the mailbox."),
    ]
    min_interval = 10.0
    default_timeout = 15.0

    def __init__(self, params, secrets, env):
        self.tls, (self.host, port) = params["tls"], split(params["host"])
        self.port = port or params.get("port", PORTS[self.tls])
        self.user, self.mailbox, self.budget = params.get("user"), params["mailbox"], params["budget"]
        self.password = secrets[params["password"]] if "password" in params else None
        if (self.user is None) != (self.password is None):
            raise windsock.Invalid("/password", "user and password go together")
        if self.password is not None and re.search(r"[\0\r\n]", self.password):
            raise windsock.Invalid("/password", "the password has a line break in it")
        if self.password and self.tls == "none" and self.host not in LOOPBACK:
            env.warn("/tls", "the password crosses the network unencrypted")
        self.trust = None
        if self.tls != "none":
            try:
                self.trust = ssl.create_default_context(cafile=params.get("ca_file"))
            except (OSError, ssl.SSLError) as error:
                raise windsock.Invalid("/ca_file", f"reading it: {error.strerror or error}") from error

    def run(self, ctx):
        walk = Walk(self, ctx)
        ctx.on_cancel(walk.cut)
        try:
            walk.go()
        except Failure as failure:
            return walk.result(windsock.FAILED, failure.cause, failure.text)
        except (OSError, imaplib.IMAP4.error, UnicodeError) as error:
            return walk.result(windsock.FAILED, *walk.explain(error))
        finally:
            walk.close()
        took = walk.measurements["imap.duration"]
        if 0 < self.budget < took:
            return walk.result(windsock.DEGRADED, "slow", f"{walk.done} in {took:.3f}s, budget {self.budget:g}s")
        return walk.result(windsock.OK, "", f"{walk.done} in {took:.3f}s")


class Connection(imaplib.IMAP4):
    """imaplib's client over a socket that is there already."""

    def __init__(self, sock, host):
        self._made = sock
        super().__init__(host)  # the name that STARTTLS verifies

    def _create_socket(self, timeout):
        return self._made


class Walk:
    """One run: what was asked, what was found, and where the time went."""

    def __init__(self, check, ctx):
        self.check, self.ctx, self.sock, self.done = check, ctx, None, ""
        self.phases, self.steps, self.measurements, self.facts = {}, [], {}, {}
        self.phase, self.began = "", 0.0

    def go(self):
        check, start = self.check, time.monotonic()
        self.enter("resolve")
        addresses = self.resolve()
        self.leave(f"{len(addresses)} addresses")
        self.enter("connect")
        self.connect(addresses)
        self.leave(f"port {check.port}")
        if check.tls == "implicit":
            self.handshake()
        self.enter("greeting")
        imap = Connection(self.sock, check.host)
        self.leave(imap.welcome.decode("utf-8", "replace").split(" ")[1])
        self.done = "greeted"
        if check.tls == "starttls":
            self.starttls(imap)
        if check.user is not None:
            if imap.state != "AUTH":  # the server knows us already
                self.login(imap)
            if check.mailbox:
                self.examine(imap)
        self.measurements["imap.duration"] = time.monotonic() - start
        try:
            imap.logout()
        except (OSError, imaplib.IMAP4.error):
            pass  # what was asked for was seen

    def enter(self, phase):
        self.phase, self.began = phase, time.monotonic()
        self.wait()

    def wait(self):
        """What is asked next has the time that is left."""
        if self.ctx.cancelled:
            raise TimeoutError
        if self.sock:
            self.sock.settimeout(self.ctx.remaining())

    def leave(self, detail):
        self.phases[self.phase] = time.monotonic() - self.began
        self.steps.append((self.phase, True, detail))

    def resolve(self):
        """The system's resolver has no timeout: it is left behind in a thread where it takes too long."""
        found = []

        def ask():
            try:
                found.append(socket.getaddrinfo(self.check.host, self.check.port, type=socket.SOCK_STREAM))
            except OSError as error:
                found.append(error)
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(self.ctx.remaining())
        if not found:
            raise Failure("dns", f"no answer about {self.check.host}")
        if isinstance(found[0], OSError):
            raise Failure("dns", f"{self.check.host}: {found[0].strerror}")
        return found[0]

    def connect(self, addresses):
        last = None
        for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses):
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(self.ctx.remaining() / left)
            try:
                sock.connect(address)
            except OSError as error:
                sock.close()
                last = error
                continue
            self.sock = sock
            return
        raise last

    def handshake(self):
        self.enter("tls")
        self.sock = self.check.trust.wrap_socket(self.sock, server_hostname=self.check.host)
        self.encrypted()

    def starttls(self, imap):
        self.enter("tls")
        if "STARTTLS" not in imap.capabilities:
            raise Failure("tls", "the server does not offer STARTTLS")
        imap.starttls(self.check.trust)
        self.sock = imap.sock
        self.encrypted()

    def encrypted(self):
        end = ssl.cert_time_to_seconds(self.sock.getpeercert()["notAfter"])
        self.measurements["imap.certificate.remaining"] = (end - time.time()) / 86400
        self.facts["tls"] = self.sock.version()
        self.leave(self.sock.version())

    def login(self, imap):
        check = self.check
        self.enter("login")
        if "AUTH=PLAIN" in imap.capabilities:  # takes every password; LOGIN those of ASCII
            imap.authenticate("PLAIN", lambda _: f"\0{check.user}\0{check.password}".encode())
        elif "LOGINDISABLED" in imap.capabilities:
            raise Failure("bad_request", "the server takes no login on this connection" + (": set tls" if check.tls == "none" else ""))
        else:
            imap.login(check.user, check.password)
        self.leave("")
        self.measurements["imap.login.duration"] = self.phases["login"]
        self.done = "logged in"

    def examine(self, imap):
        self.enter("mailbox")
        quoted = '"' + self.check.mailbox.replace("\\", "\\\\").replace('"', '\\"') + '"'
        status, answer = imap.select(quoted, readonly=True)
        if status != "OK":
            raise Failure("assertion", f"mailbox {self.check.mailbox}: {text_of(answer[0])}")
        if answer[0] is None:
            raise Failure("malformed", f"mailbox {self.check.mailbox}: the server does not say how many messages there are")
        self.measurements["imap.mailbox.messages"] = int(answer[0])
        self.leave(f"{int(answer[0])} messages")

    def explain(self, error):
        """The cause of an error, and a line for a person. Never what was sent: the password is in it."""
        if isinstance(error, TimeoutError) or self.ctx.cancelled:
            return ("timeout_connect" if self.phase == "connect" else "timeout"), f"no answer in phase {self.phase} within the timeout"
        if isinstance(error, ssl.SSLCertVerificationError):
            return "tls", f"certificate of {self.check.host}: {error.verify_message}"
        if isinstance(error, ssl.SSLError):
            return "tls", f"handshake with {self.check.host}: {error.reason or error}"
        if isinstance(error, UnicodeError):
            return "bad_request", "the server takes only passwords of ASCII: it does not offer AUTH=PLAIN"
        if isinstance(error, OSError):
            return "connect", f"{self.check.host}:{self.check.port}: {error.strerror or error}"
        return self.explain_answer(error)

    def explain_answer(self, error):
        said = text_of(error.args[0] if error.args else "")
        if isinstance(error, imaplib.IMAP4.abort):
            if "unexpected response" in said:
                return "malformed", "what answers does not speak IMAP"
            if "BYE" in said or "EOF" not in said:
                return "server", f"the server hung up in phase {self.phase}: {said}"
            return "connect", f"the connection broke in phase {self.phase}"
        code = re.search(r"\[([A-Z]+)", said)
        if code and code.group(1) in CAUSES:
            return CAUSES[code.group(1)], said
        if self.phase == "greeting":
            return "server", f"the server does not greet: {said}"
        if "command error: BAD" in said:
            return "bad_request", f"the server does not understand phase {self.phase}"
        return ("auth", f"login of {self.check.user}: {said}") if self.phase == "login" else ("server", said)

    def result(self, status, cause, text):
        if self.phase not in self.phases:
            self.steps.append((self.phase, False, text))
        return windsock.Result(status, text, cause, phases=self.phases, steps=self.steps, measurements=self.measurements, facts=self.facts)

    def cut(self):
        """From another thread, when nobody waits any more: what blocks on the socket ends."""
        try:
            if self.sock:
                self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        if self.sock:
            self.sock.close()


def text_of(said):
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
