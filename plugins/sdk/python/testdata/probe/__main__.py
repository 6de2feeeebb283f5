"""A plugin that behaves, and misbehaves, as it is told: for the tests of the library."""
import json
import logging
import os
import sys
import time

import windsock_plugin as windsock


STUCK = []


class Echo(windsock.Check):
    """Says what it was told.

    And more."""
    name = "echo"
    schema = windsock.params({
        "mode": {"enum": ["ok", "raise", "sleep", "block", "stuck", "secret", "print", "alien", "environ"], "default": "ok"},
        "hosts": {"type": "array", "minItems": 1, "items": windsock.params({"port": {"type": "integer", "minimum": 1, "maximum": 65535}})},
        "name": {"type": "string", "pattern": "^[a-z/]+$"},
        "password": windsock.SECRET,
    }, required=["name"])
    measurements = [windsock.Measurement("echo.runs", "{run}", "Runs so far.")]
    default_timeout = 1.5

    def __init__(self, params, secrets, env):
        if params["name"] == "bad":
            raise windsock.Invalid("/name", "bad is taken")
        if params["name"] == "old":
            env.warn("/name", "old goes away")
        self.params, self.secrets, self.env, self.runs, self.inside = params, secrets, env, 0, 0

    def run(self, ctx):
        self.runs, self.inside = self.runs + 1, self.inside + 1
        try:
            return getattr(self, self.params["mode"])(ctx)
        finally:
            self.inside -= 1

    def ok(self, ctx):
        return windsock.degraded("slow", "one\ntwo\x1b\udcff " + "é" * 300, measurements={"echo.runs": (self.runs, {"inside": str(self.inside)})},
                                 phases={"connect": 0.25}, steps=[("dns", True, "fine")], facts={"name": self.env.name, "left": ctx.remaining()},
                                 memory=ctx.memory + b"+")

    def alien(self, ctx):
        return windsock.ok(measurements={"echo.other": 1})

    def sleep(self, ctx):
        time.sleep(0.2)
        return windsock.ok(str(self.inside))

    def block(self, ctx):
        gone = []
        ctx.on_cancel(lambda: gone.append(True))
        while not gone:
            time.sleep(0.01)
        return windsock.ok(f"cancelled {ctx.cancelled}")

    def stuck(self, ctx):
        if not STUCK:
            STUCK.append(True)
            time.sleep(3)
        return windsock.ok(f"run {self.runs}")

    def secret(self, ctx):
        return windsock.ok(f"{len(self.secrets[self.params['password']])} characters, {self.secrets}")

    def print(self, ctx):
        print("x" * 200000)
        sys.stdout.flush()
        os.write(1, b"y" * 200000 + b"\n")
        logging.warning("hello %d", 5, extra={"host": "h"})
        return windsock.ok("printed")

    def environ(self, ctx):
        return windsock.ok(" ".join(sorted(os.environ)))

    def close(self):
        logging.info("closed", extra={"name_": self.params["name"]})


setattr(Echo, "raise", lambda self, ctx: 1 / 0)


class Sink(windsock.Exporter):
    """Takes what it is told."""
    name = "sink"
    schema = windsock.params({"say": {"type": "string"}}, required=["say"])
    max_batch = 10
    record_types = ("report", "alert")

    def __init__(self, params, secrets, env):
        self.say, self.state = params["say"], env.state

    def export(self, batch):
        return {"done": lambda: windsock.Done({1: "too old"}, self.state + b"1", 2),
                "retry": lambda: windsock.Retry("later", after=1.5, done_first=1),
                "json": lambda: windsock.Done(state=json.dumps([windsock.as_json(r) for r in batch.records]).encode()),
                "hold": lambda: windsock.Hold(f"{batch.id} {batch.records[0].report.check}"),
                "split": lambda: windsock.Split("large"),
                "poison": lambda: windsock.Poison("bad"),
                "raise": lambda: 1 / 0}[self.say]()

    def refresh(self, alerts, ctx):
        return windsock.Done() if [a.rule for a in alerts] == ["r"] else windsock.Hold("other alerts")


windsock.serve("probe", "1.2.3", "A probe.", checks=[Echo], exporters=[Sink], homepage="https://example.com")
