"""Checks and exporters for Windsock, the monitoring agent, in Python.

Copy this file and api.binpb beside your own code: there is nothing to install but gRPC and protobuf, and Debian's
python3-grpcio and python3-protobuf are recent enough. The agent starts the program, speaks gRPC with it on a unix socket,
and may hold many instances of one class in it, each for one entry of its file.

    import windsock_plugin as windsock

    class Port(windsock.Check):
        '''Whether a port of a host takes connections.'''
        name = "port"
        schema = windsock.params({"host": {"type": "string"}, "port": {"type": "integer"}}, required=["host", "port"])
        measurements = [windsock.Measurement("port.connect.duration", "s", "Time until the connection stood.")]

        def __init__(self, params, secrets, env):
            self.address = params["host"], params["port"]

        def run(self, ctx):
            began = time.monotonic()
            try:
                socket.create_connection(self.address, timeout=ctx.remaining()).close()
            except OSError as error:
                return windsock.failed("connect", str(error))
            return windsock.ok("open", measurements={"port.connect.duration": time.monotonic() - began})

    windsock.serve(name="net", version="1.0.0", summary="Ports.", checks=[Port])

What a plugin prints goes to its log, as do the records of the module logging. Run the program with --describe to read
what it offers.
"""
import base64, dataclasses, json, logging, math, os, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time, unicodedata
from concurrent import futures

SDK_VERSION = "1.0.0"
MAX_RUNS = 32  # at the same time; more are refused, and the agent asks less
OK, UNKNOWN, DEGRADED, FAILED, SKIPPED = "OK", "UNKNOWN", "DEGRADED", "FAILED", "SKIPPED"
SECRET = {"type": "object", "properties": {"secret": {"type": "string"}}, "required": ["secret"], "additionalProperties": False}


def params(properties, required=()):
    """The schema of an object that has these properties and no others. A secret's schema is SECRET."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


class Invalid(Exception):
    """Raised by __init__ for parameters that cannot be used. pointer is a JSON Pointer, as "/hosts/0/port"."""

    def __init__(self, pointer, text):
        super().__init__(text)
        self.pointer, self.text = pointer, text


@dataclasses.dataclass
class Measurement:
    """Announces a number: its name, as shop.login.duration, its UCUM unit, as s, By or %, and one line for a person."""
    name: str
    unit: str
    description: str


@dataclasses.dataclass
class Result:
    """What one run saw. ok, degraded, failed, unknown and skipped make one; the causes are those of docs/causes.md."""
    status: str
    summary: str                                      # one line for a person; never a secret
    cause: str = ""
    blame: str = ""                                   # empty: as the cause says
    measurements: dict = dataclasses.field(default_factory=dict)  # name: number, or name: (number, {attribute: value})
    phases: dict = dataclasses.field(default_factory=dict)        # name: seconds
    steps: list = dataclasses.field(default_factory=list)         # (name, whether the walk went on, one line)
    facts: dict = dataclasses.field(default_factory=dict)         # for records and logs
    memory: bytes = None                              # what the next run finds in ctx.memory; None: what is kept stays


def ok(summary="", **more):
    return Result(OK, summary, **more)


def degraded(cause, summary, **more):
    return Result(DEGRADED, summary, cause, **more)


def failed(cause, summary, **more):
    return Result(FAILED, summary, cause, **more)


def unknown(cause, summary, **more):
    return Result(UNKNOWN, summary, cause, **more)


def skipped(cause, summary, **more):
    return Result(SKIPPED, summary, cause, **more)


@dataclasses.dataclass
class Done:
    """Every record has its outcome: accepted, or refused for good, as rejections says: {index in the batch: reason}."""
    rejections: dict = dataclasses.field(default_factory=dict)
    state: bytes = None                               # kept with the cursor, handed back in env.state; None: as it is
    rejected_points: int = 0


@dataclasses.dataclass
class Retry:
    """The same batch, later. done_first records from the front have their outcome and do not come again."""
    message: str
    after: float = None                               # seconds, where the backend named them
    done_first: int = 0
    state: bytes = None


class Hold(Retry):
    """Nothing will work until an operator changes something. Nothing is dropped for it."""


class Split(Retry):
    """The batch is too large: send it in halves."""


class Poison(Retry):
    """Something in the batch can never be accepted: find it by halves."""


class Secrets(dict):
    """Values by reference: secrets[params["password"]] is the text of the secret that the parameter refers to."""

    def __getitem__(self, reference):
        return super().__getitem__(reference["secret"] if isinstance(reference, dict) else reference)

    def __repr__(self):
        return "Secrets(…)"


@dataclasses.dataclass
class Env:
    """Where an instance lives. state and what follows are for exporters."""
    name: str
    location: str
    labels: dict
    timeout: float
    state: bytes = b""
    agent_instance: str = ""
    agent_version: str = ""
    unclean: bool = False                             # the process before was killed: what it wrote last may be cut off
    warnings: list = dataclasses.field(default_factory=list, repr=False)

    def warn(self, pointer, text):
        """Says that a parameter works and should not stay."""
        self.warnings.append((pointer, text))


class Context:
    """One call: how long it may take, and whether anybody still waits for it."""

    def __init__(self, rpc, timeout=0.0, run_id="", traceparent="", memory=b""):
        left = rpc.time_remaining()
        left = min(math.inf if left is None else left, timeout or math.inf, 86400.0)
        self._rpc, self._end = rpc, time.monotonic() + left - min(0.25, left * 0.05)  # the answer has to travel too
        self.run_id, self.traceparent, self.memory = run_id, traceparent, memory

    def remaining(self):
        """Seconds until the work must be done, as a timeout for what is done next: never 0, which sockets take otherwise."""
        return max(0.001, self._end - time.monotonic())

    @property
    def cancelled(self):
        return not self._rpc.is_active() or time.monotonic() >= self._end

    def shut_on_cancel(self, sock):
        """Shuts a socket when nobody waits any more, so that what blocks on it ends. TLS comes first: it makes another."""
        def shut():
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass                                   # it is closed
        self.on_cancel(shut)

    def on_cancel(self, function):
        """Calls function, from another thread, when nobody waits any more, and at the end of the call."""
        if not self._rpc.add_callback(function):
            function()


class Batch(Context):
    """Records to send, oldest first, as messages of the protocol: record.report.check, record.alert.rule."""

    def __init__(self, rpc, timeout, batch_id, records):
        super().__init__(rpc, timeout)
        self.id, self.records = batch_id, records


class Check:
    """A kind of check. A class is a kind, an object is one entry of the agent's file; calls for one never overlap."""
    name = doc = ""                                   # without doc, the class's docstring
    schema = params({})                               # JSON Schema of the parameters
    measurements = ()                                 # all that a result may hold
    min_interval = default_timeout = 0.0              # seconds; 0: the agent's
    max_cost_pico_usd = 0                             # the most that one run can cost

    def __init__(self, params, secrets, env):
        """Checks everything and starts nothing: the agent also makes instances only to hear what is wrong."""

    def run(self, ctx):
        raise NotImplementedError

    def close(self):
        """The instance is no longer needed."""


class Exporter:
    """A kind of exporter. One with a method refresh(alerts, ctx) is told the open alerts about once a minute."""
    name = doc = ""
    schema = params({})
    max_batch = 0                                     # most records in one call; 0: as the agent's file says
    record_types = ()                                 # of "report", "alert" and "agent"; none: all

    def __init__(self, params, secrets, env):
        """As for checks."""

    def export(self, batch):
        """Makes one attempt and returns Done, Retry, Hold, Split or Poison. An exception is a Retry of the whole."""
        raise NotImplementedError

    def close(self):
        """As for checks."""


# What the JSON form has even where it is zero.
_ALWAYS = {"Report": {"final": False}, "Alert": {"value": 0.0, "threshold": 0.0}, "Measurement": {"value": 0.0}, "Step": {"ok": False},
           "Usage": {"prompt_tokens": 0, "completion_tokens": 0, "cost_pico_usd": 0, "price_known": False},
           "AgentState": {"measurements": []}, "Result": {"status": "unknown"}}
_OTHERWISE = {"attributes": "attrs", "steps": "evidence"}


def as_json(record):
    """A record as a dict of the one JSON form that records have, docs/record.schema.json; None where it holds nothing known."""
    kind = record.WhichOneof("payload")
    if kind is None:
        return None
    body = _plain(getattr(record, kind))
    body.update(body.pop("result", {"status": "unknown"} if kind == "report" else {}))
    if "phases" in body:
        body["phases"] = {phase["name"]: phase.get("took", 0.0) for phase in body["phases"]}
    if "usage" in body:
        body["usage"]["cost_usd"] = body["usage"]["cost_pico_usd"] / 1e12
    if kind == "agent":
        body["at"] = _plain(record.at)
    return {"type": kind, "id": record.id, **body}


def _plain(message):
    name = message.DESCRIPTOR.name
    if name == "Duration":
        return _seconds(message)
    if name == "Timestamp":
        nanos = f".{message.nanos:09d}".rstrip("0").rstrip(".")
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(message.seconds)) + nanos + "Z"
    out = dict(_ALWAYS.get(name, {}))
    for field, value in message.ListFields():
        if hasattr(value, "items"):                    # a map
            value = dict(value)
        elif hasattr(value, "add"):                    # a list
            value = [_plain(item) for item in value]
        elif field.message_type:
            value = _plain(value)
        elif field.enum_type:
            known = field.enum_type.values_by_number.get(value)
            value = known.name.split("_", 1)[1].lower() if known and value else "unknown"
        out[_OTHERWISE.get(field.name, field.name)] = value
    return out


# -- parameters ---------------------------------------------------------------------------------------------------------

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "null": type(None)}


def _is(value, kind):
    if kind == "integer":
        return _is(value, "number") and math.isfinite(value) and value == int(value)
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _name(value):
    return next(kind for kind in _TYPES if _is(value, kind))


def validate(value, schema, pointer=""):
    """Yields (JSON Pointer, what is wrong), and puts defaults in. It knows type, enum, const, minimum, maximum, pattern,
    minLength, items, minItems, properties, required, additionalProperties and default; the agent checks the rest."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield pointer, f"want {' or '.join(kinds)}, got {_name(value)}"  # never the value: it may be a secret, misplaced
        return
    allowed = [schema["const"]] if "const" in schema else schema.get("enum", [value])
    if value not in allowed:
        yield pointer, f"want one of {', '.join(json.dumps(v) for v in allowed)}"
    if isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            yield pointer, f"want text that matches {schema['pattern']}"
        if len(value) < schema.get("minLength", 0):
            yield pointer, f"want {schema['minLength']} characters or more, got {len(value)}"
    elif _is(value, "number"):
        if value < schema.get("minimum", -math.inf):
            yield pointer, f"want {schema['minimum']} or more, got {value}"
        if value > schema.get("maximum", math.inf):
            yield pointer, f"want {schema['maximum']} or less, got {value}"
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield pointer, f"want {schema['minItems']} items or more, got {len(value)}"
        for index, item in enumerate(value):
            yield from validate(item, schema.get("items", {}), f"{pointer}/{index}")
    elif isinstance(value, dict):
        yield from _validate_object(value, schema, pointer)


def _validate_object(value, schema, pointer):
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, inner in known.items():
        if name not in value and "default" in inner:
            value[name] = json.loads(json.dumps(inner["default"]))
    for name in schema.get("required", []):
        if name not in value:
            yield f"{pointer}/{_escape(name)}", f"{json.dumps(name)} is required"
    for name, item in value.items():
        if name not in known and others is False:
            yield f"{pointer}/{_escape(name)}", f"{json.dumps(name)} is not known: there are {', '.join(sorted(known)) or 'none'}"
        else:
            yield from validate(item, known.get(name, others if isinstance(others, dict) else {}), f"{pointer}/{_escape(name)}")


def _escape(name):
    return name.replace("~", "~0").replace("/", "~1")


def _missing_secrets(value, secrets, pointer=""):
    """Yields the references to secrets that did not come."""
    if isinstance(value, dict) and set(value) == {"secret"}:
        if value["secret"] not in secrets:
            yield pointer, f"the secret {json.dumps(value['secret'])} was not given to this plugin"
    elif isinstance(value, (dict, list)):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _missing_secrets(item, secrets, f"{pointer}/{_escape(str(name))}")


# -- the protocol -------------------------------------------------------------------------------------------------------

class _Api:
    """The messages and services of the protocol, made of their descriptors: api.Report() is a message."""

    def __init__(self):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        data = __spec__.loader.get_data(os.path.join(os.path.dirname(__file__), "api.binpb"))
        self._files, self._pool = descriptor_pb2.FileDescriptorSet.FromString(data).file, descriptor_pool.DescriptorPool()
        for file in self._files:
            self._pool.AddSerializedFile(file.SerializeToString())
        self._class = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(self._pool).GetPrototype

    def __getattr__(self, name):
        package = "google.protobuf" if name in ("Duration", "Timestamp") else "windsock.plugin.v1"
        made = self._class(self._pool.FindMessageTypeByName(f"{package}.{name}"))
        setattr(self, name, made)
        return made

    def duration(self, seconds):
        nanos = round((seconds or 0) * 1e9)
        return self.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9) if nanos > 0 else None

    def handlers(self, grpc, served):
        """Handlers of the methods that served has, under the names of the services that declare them."""
        for service in (s for file in self._files for s in file.service):
            methods = {}
            for method in service.method:
                takes, gives = (getattr(self, t.rsplit(".", 1)[1]) for t in (method.input_type, method.output_type))
                methods[method.name] = grpc.unary_unary_rpc_method_handler(
                    getattr(served, method.name), takes.FromString, gives.SerializeToString)
            yield grpc.method_handlers_generic_handler(f"windsock.plugin.v1.{service.name}", methods)


def _seconds(duration):
    return duration.seconds + duration.nanos / 1e9


@dataclasses.dataclass
class _Instance:
    make: object                                       # makes the object of its parameters
    object: object
    over: bool = False
    ctx: Context = None                                # of the call that goes on
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)  # held by the call that goes on

    def left(self):
        """Whether its run goes on and nobody waits for it any more."""
        return self.lock.locked() and self.ctx is not None and self.ctx.cancelled and isinstance(self.object, Check)


class _Plugin:
    """What is served: the methods of the three services."""

    def __init__(self, grpc, api, manifest, kinds):
        self.grpc, self.api, self.manifest, self.kinds = grpc, api, manifest, kinds
        self.instances, self.calls, self.draining = {}, 0, False
        self.changed = threading.Condition()           # guards the line above

    def Describe(self, request, rpc):
        return self.manifest

    def Configure(self, request, rpc):
        answer, kind, made = self.api.ConfigureResponse(), self.kinds.get(request.kind), None
        given, found = json.loads(request.config_json or b"{}"), []
        secrets = Secrets({name: value.decode("utf-8", "surrogateescape") for name, value in request.secrets.items()})
        more = request.exporter
        env = Env(request.name, request.location, dict(request.labels), _seconds(request.timeout),
                  more.state, more.agent_instance, more.agent_version, more.unclean)
        if kind is None:
            found = [("", f"there is no kind {json.dumps(request.kind)}; there are {', '.join(sorted(self.kinds))}")]
        found = found or list(validate(given, kind.schema)) or list(_missing_secrets(given, secrets))
        if not found:
            try:
                made = _Instance(lambda: kind(json.loads(json.dumps(given)), secrets, env), None)
                made.object = made.make()
            except Invalid as invalid:
                made, found = None, [(invalid.pointer, invalid.text)]
        for severity, texts in (1, found), (2, env.warnings):
            for pointer, text in texts:
                answer.diagnostics.add(severity=severity, pointer=pointer, summary=_line(text))
        over = made                                    # what was made only to look, or what was there before
        if made and not request.validate_only:
            with self.changed:
                over, self.instances[request.instance_id] = self.instances.get(request.instance_id), made
        self._end(over)
        return answer

    def Release(self, request, rpc):
        with self.changed:
            old = self.instances.pop(request.instance_id, None)
        self._end(old)
        return self.api.ReleaseResponse()

    def Drain(self, request, rpc):
        ctx = Context(rpc)
        with self.changed:
            self.draining = True
            self.changed.wait_for(lambda: self.calls == 0, ctx.remaining())
            old, self.instances = list(self.instances.values()), {}
        for instance in old:
            self._end(instance)
        return self.api.DrainResponse()

    def Run(self, request, rpc):
        ctx = Context(rpc, _seconds(request.timeout), request.run_id, request.traceparent, request.memory)
        return self._call(request, rpc, ctx, lambda check: self._result(check, check.run(ctx)))

    def Export(self, request, rpc):
        batch = Batch(rpc, 0, request.batch_id, request.records)
        return self._call(request, rpc, batch, lambda exporter: self._outcome(exporter.export(batch), self.api.ExportResponse()))

    def Refresh(self, request, rpc):
        ctx = Context(rpc)
        return self._call(request, rpc, ctx, lambda e: self._outcome(e.refresh(request.alerts, ctx), self.api.RefreshResponse()))

    def _call(self, request, rpc, ctx, work):
        """Does work with the instance: alone with it, within the deadline, counted for Drain."""
        code = self.grpc.StatusCode
        with self.changed:
            full, self.calls = self.calls >= MAX_RUNS, self.calls + 1
        try:
            if full:
                rpc.abort(code.RESOURCE_EXHAUSTED, f"{MAX_RUNS} calls go on")
            instance = self._claim(request.instance_id, rpc, ctx)
            try:
                return work(instance.object)
            except Exception as error:
                logging.exception("call failed")
                rpc.abort(code.INTERNAL, _line(f"{type(error).__name__}: {error}"))
            finally:
                instance.ctx = None
                instance.lock.release()
                self._close(instance)
        finally:
            with self.changed:
                self.calls -= 1
                self.changed.notify_all()

    def _claim(self, name, rpc, ctx):
        """The instance, locked. A check whose run does not end when nobody waits for it is left behind with that run, and
        made anew: the next must not wait for it. An exporter is not: its state has moved on."""
        while True:
            with self.changed:
                instance = self.instances.get(name)
                if instance is None or self.draining:
                    rpc.abort(self.grpc.StatusCode.FAILED_PRECONDITION, "the instance is not there")
                if instance.left():
                    logging.warning("a run goes on that nobody waits for")
                    instance.over = True
                    instance = self.instances[name] = _Instance(instance.make, instance.make())
            if instance.lock.acquire(timeout=min(0.1, ctx.remaining())):
                instance.ctx = ctx
                return instance
            if ctx.cancelled:
                rpc.abort(self.grpc.StatusCode.DEADLINE_EXCEEDED, "the call before has not ended")

    def _result(self, check, seen):
        units = {m.name: m.unit for m in check.measurements}
        answer = self.api.RunResponse(memory=seen.memory)
        out = answer.result
        out.status = {UNKNOWN: 1, OK: 2, DEGRADED: 3, FAILED: 4, SKIPPED: 6}[seen.status]
        out.cause, out.blame, out.summary = seen.cause, seen.blame, _line(seen.summary)
        for name, value in seen.measurements.items():
            value, attributes = value if isinstance(value, tuple) else (value, {})
            out.measurements.add(name=name, value=value, unit=units[name], attributes=attributes)
        for name, took in seen.phases.items():
            out.phases.add(name=name, took=self.api.duration(took))
        for name, good, detail in seen.steps:
            out.steps.add(name=name, ok=good, detail=_line(detail))
        for name, value in seen.facts.items():
            out.facts[name] = _line(value, 512)
        return answer

    def _outcome(self, said, answer):
        answer.disposition = {Done: 1, Retry: 2, Hold: 3, Split: 4, Poison: 5}[type(said)]
        if said.state is not None:
            answer.state = said.state
        if isinstance(said, Retry):
            answer.message = _line(said.message)
            if said.after:
                answer.retry_after.CopyFrom(self.api.duration(said.after))
            if said.done_first:
                answer.done_first = said.done_first
        else:
            for index, reason in said.rejections.items():
                answer.rejections.add(index=index, reason=_line(reason))
            if said.rejected_points:
                answer.rejected_points = said.rejected_points
        return answer

    def _end(self, instance):
        if instance:
            instance.over = True
            self._close(instance)

    def _close(self, instance):
        """Tells an instance that it is over, once, when no call of it goes on: its lock is never free again."""
        if instance.over and instance.lock.acquire(blocking=False):
            try:
                instance.object.close()
            except Exception:
                logging.exception("close failed")


def _line(text, most=300):
    """One line without control characters, of so many bytes at the most: what the protocol allows."""
    clean = "".join(" " if unicodedata.category(c) == "Cc" else c for c in str(text))
    return " ".join(clean.split()).encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


# -- the process --------------------------------------------------------------------------------------------------------

class _Log(logging.Formatter):
    """Lines that the agent reads: the keys of hclog, and what was given as extra."""
    _usual = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record):
        line = {key: str(value) for key, value in vars(record).items() if key not in self._usual}
        text = record.getMessage() + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}000Z"
        line.update({"@level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
                     "@message": text, "@timestamp": at})
        return json.dumps(line, ensure_ascii=False)


def _certificate():
    """A key and a certificate for this process, PEM. The openssl program takes 10 ms; python3-cryptography stands in."""
    program, said = shutil.which("openssl"), "there is no openssl"
    if program:
        made = subprocess.run([program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch",
                               "-keyout", "-", "-out", "-", "-days", "10950", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                              stdin=subprocess.DEVNULL, capture_output=True)
        both = re.findall(rb"-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n", made.stdout)
        if made.returncode == 0 and len(both) == 2:
            return both
        said = f"{program} made none ({made.stderr.decode('utf-8', 'replace').strip()})"
    try:
        from cryptography import x509
    except ImportError:
        sys.exit(f"The agent wants TLS on the plugin's socket, which needs a certificate: {said}, and no python3-cryptography "
                 "is there either. One of the two is needed: apt-get install openssl.")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    import datetime
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(seconds=30))
            .not_valid_after(now + datetime.timedelta(days=10950))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    pem = serialization.Encoding.PEM
    return [key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()), made.public_bytes(pem)]


def _describe(api, kinds, about):
    """The manifest."""
    described = api.DescribeResponse(**about, sdk=api.Sdk(name="windsock-python", version=SDK_VERSION),
                                     capabilities=api.PluginCapabilities(concurrent=True, reconfigure=True))
    for kind in kinds:
        out = described.kinds.add(name=kind.name, doc_markdown=_doc(kind), config_schema_json=json.dumps(kind.schema).encode())
        if issubclass(kind, Exporter):
            out.type = 2
            types = [{"report": 1, "alert": 2, "agent": 3}[t] for t in kind.record_types]
            out.exporter_limits.CopyFrom(api.ExporterLimits(max_batch=kind.max_batch, record_types=types, refresh=hasattr(kind, "refresh")))
            continue
        out.type, out.max_cost_pico_usd = 1, kind.max_cost_pico_usd
        for field in "min_interval", "default_timeout":
            if getattr(kind, field):
                getattr(out, field).CopyFrom(api.duration(getattr(kind, field)))
        for m in kind.measurements:
            out.measurements.add(name=m.name, unit=m.unit, description=m.description)
    return described


def _doc(kind):
    import inspect
    return inspect.cleandoc(kind.doc or kind.__doc__ or "")


def _print(kinds, about):
    """The manifest for a person, without gRPC."""
    shown = [{"name": k.name, "type": "exporter" if issubclass(k, Exporter) else "check", "doc": _doc(k), "schema": k.schema,
              "measurements": [dataclasses.asdict(m) for m in getattr(k, "measurements", ())]} for k in kinds]
    print(json.dumps({**about, "kinds": shown}, indent=2, ensure_ascii=False))


def serve(name, version, summary, checks=(), exporters=(), homepage=""):
    """Serves the kinds until the agent says that it is over, and does not return."""
    about, kinds = {"name": name, "version": version, "summary": summary, "homepage": homepage}, [*checks, *exporters]
    if "--describe" in sys.argv[1:]:
        return _print(kinds, about)
    if os.environ.get("WINDSOCK_PLUGIN_COOKIE") != "b6d3f2a4-windsock-plugin":
        sys.exit(f"{name} {version} is a plugin of Windsock, the monitoring agent, which starts it: it does nothing by itself. "
                 "Try --describe, or `windsock plugins test PATH`.")
    parent, sys.dont_write_bytecode = os.getppid(), True
    out = os.dup(1)                                    # the handshake's; what is printed goes to the log
    os.dup2(2, 1)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)       # Ctrl-C in a terminal goes to the agent too, which stops us in order
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(_Log())
    logging.basicConfig(level=logging.INFO, handlers=[log])
    server, path, line = _listen(about, kinds, over)
    os.write(out, line.encode())
    try:
        while not over.wait(1) and os.getppid() == parent:  # it dies with its parent, whatever killed that
            pass
    finally:
        if os.path.exists(path):
            os.unlink(path)
        sys.stderr.flush()
        os._exit(0)                                    # a call that does not end does not hold the process


def _listen(about, kinds, over):
    """Starts the server: its socket, and the line that tells the agent of it."""
    client = os.environ.pop("PLUGIN_CLIENT_CERT", "").encode()
    key, certificate = _certificate() if client else (b"", b"")
    import grpc
    api = _Api()
    plugin = _Plugin(grpc, api, _describe(api, kinds, about), {kind.name: kind for kind in kinds})
    server = grpc.server(futures.ThreadPoolExecutor(MAX_RUNS + 8), options=[("grpc.max_receive_message_length", 16 << 20)])
    server.add_generic_rpc_handlers((*api.handlers(grpc, plugin), *_go_plugin(grpc, over)))
    folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.gettempdir()
    path = os.path.join(folder, f"plugin{os.urandom(5).hex()}")
    if client:
        server.add_secure_port("unix:" + path, grpc.ssl_server_credentials([(key, certificate)], client, True))
    else:
        server.add_insecure_port("unix:" + path)
    server.start()
    body = b"".join(certificate.split(b"\n")[1:-2]).rstrip(b"=").decode()
    return server, path, f"1|1|unix|{path}|grpc|{body}\n"


def _go_plugin(grpc, over):
    """The services of hashicorp/go-plugin: health, the shutdown, and a stream of output that ends at once."""
    def check(request, rpc):                           # HealthCheckRequest{service: "plugin"} -> {status: SERVING}
        if not (request == b"" or request.startswith(b"\x0a\x06plugin")):
            rpc.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08\x01"

    def shutdown(request, rpc):
        rpc.add_callback(over.set)                     # when the answer is out
        return b""
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    return (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": unary(check)}),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": unary(shutdown)}),
            grpc.method_handlers_generic_handler("plugin.GRPCStdio", {"StreamStdio": stream(lambda request, rpc: iter(()))}))
