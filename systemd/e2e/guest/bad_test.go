//go:build e2e

package guest_test

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/agenttest"
)

// fault is one thing that is wrong with a machine.
type fault struct {
	since  int    // the systemd that knows the line for the unit
	unit   string // lines for the unit
	setup  setup
	before string // what is done to the machine, a line of the shell
	after  string // and what makes it well again
	exits  string // the exit status that the unit shows; "" where the agent runs on
	says   string // what the journal says of it: an expression
	out    string // the way out, in the same line
}

// faults are in sentences, as an administrator tells of them.
func faults() map[string]fault {
	const lock = `"@every 1s", timeout: 900ms`
	return map[string]fault{
		"the state directory is read-only": {
			unit: "BindReadOnlyPaths=/var/lib/windsock-ro:/var/lib/windsock", before: "install -d -m 0700 -o windsock -g windsock /var/lib/windsock-ro",
			says: `store cannot write.*read-only`, out: `hint=.*(?i:writ)`,
		},
		"a file of the state directory is another's": {
			before: "install -d -m 0700 -o windsock -g windsock /var/lib/windsock && install -m 0600 -o root -g root /dev/null /var/lib/windsock/windsock.lock", after: "rm -rf /var/lib/windsock",
			says: `store cannot write.*permission denied`, out: `hint=.*chown`,
		},
		"the state directory is full": {
			before: "mkdir -p /var/lib/windsock && mount -t tmpfs -o size=64k,mode=0700,uid=$(id -u windsock),gid=$(id -g windsock) full /var/lib/windsock && { dd if=/dev/zero of=/var/lib/windsock/ballast bs=4k 2>/dev/null || true; }",
			after:  "umount /var/lib/windsock",
			says:   `store cannot write.*full`, out: `hint=.*(?i:room|space|free)`,
		},
		"there is no runtime directory": {unit: "RuntimeDirectory=", says: `runtime directory is not there`, out: `hint=.*RuntimeDirectory=`},
		"the credential is missing": {
			setup: setup{key: credential}, says: `mistral-api-key`, out: `LoadCredential|ImportCredential|drop-in`,
		},
		"the kernel has no Landlock": {
			unit:   "SystemCallFilter=~landlock_create_ruleset landlock_add_rule landlock_restrict_self",
			setup:  setup{checks: "  - {name: program, kind: exec, schedule: " + lock + ", with: {argv: [/usr/lib/nagios/plugins/true]}}\n", more: "programs: {directories: [/usr/lib/nagios/plugins]}\n"},
			before: "install -D -m 0755 /bin/true /usr/lib/nagios/plugins/true", says: `(?i)no landlock`, out: `5\.13|SystemCallFilter`,
		},
		"the keys' folder is denied": {unit: "InaccessiblePaths=/etc/windsock/secrets", says: `no API key.*/etc/windsock/secrets`, out: `run: ch|hint=`},
		"the configuration is denied": {
			unit: "InaccessiblePaths=/etc/windsock/schedules.yaml", exits: "78", says: `/etc/windsock/schedules\.yaml`, out: `chown root:windsock`,
		},
		"a plugin's program is denied": {
			since: 248, unit: "NoExecPaths=/usr/lib/windsock/plugins", before: "install -m 0755 /e2e/plugins/ndjson /usr/lib/windsock/plugins/ && install -d -o windsock /var/lib/lake",
			setup: setup{exporters: "  - {name: lake, kind: ndjson/file, with: {folder: /var/lib/lake}}\n", more: "plugins:\n  ndjson: {path: /usr/lib/windsock/plugins/ndjson, write: [/var/lib/lake]}\n"},
			says:  `plugin failed.*plugin=ndjson`, out: `NoExecPaths=`,
		},
		"a group of the unit is missing": {unit: "SupplementaryGroups=dd-agent", exits: "216", says: `status=216/GROUP`, out: `GROUP`},
		"the Datadog agent's socket is another group's": {
			before: "groupadd -f other && chgrp other /run/dsd.socket && chmod 0660 /run/dsd.socket",
			setup:  setup{exporters: "  - {name: dog, kind: datadog, with: {address: \"unix:///run/dsd.socket\"}}\n"},
			says:   `/run/dsd\.socket`, out: `(?i)SupplementaryGroups|datadog\.conf|group`,
		},
	}
}

// TestBadInput: the agent runs on, or ends with the documented code, and one line of the journal has the way out.
func TestBadInput(t *testing.T) {
	w := installed(t, newPackage)
	agenttest.NewStatsd(t, "/run/dsd.socket")
	w.patience = 15 * time.Second
	for name, f := range faults() {
		if w.systemdVersion() < f.since {
			continue
		}
		t.Run(name, func(t *testing.T) { w.suffer(t, f) })
	}
}

// suffer starts the agent with a fault and without, and looks at what is said.
func (w *world) suffer(t *testing.T, f fault) {
	t.Helper()
	outer := w.t
	w.t = t
	defer func() { w.t = outer }()
	w.afresh()
	w.write(config, f.setup.text())
	if strings.Contains(f.setup.more, "plugins:") {
		if f.before != "" {
			w.sh(f.before)
		}
		w.run("windsock", "plugins", "lock", "--config", config)
	} else if f.before != "" {
		w.sh(f.before)
	}
	w.dropIn("[Service]\nRestartSec=1s\n" + f.unit + "\n")
	_, code := w.try("systemctl", "start", unit)
	if (code != 0) != (f.exits != "") {
		t.Fatalf("systemctl start: exit code %d; the journal has %q", code, w.journal())
	}
	matching := func() []string { return w.said(f.says) }
	if f.exits == "" {
		w.more()
		w.want(map[string]string{"ActiveState": "active", "NRestarts": "0"})
		for deadline := time.Now().Add(4 * time.Second); len(matching()) == 0 && time.Now().Before(deadline); {
			w.more()
		}
	} else if lines := w.tells(`status=` + f.exits + `/`); len(lines) == 0 {
		t.Errorf("the exit code was not %s: %q", f.exits, w.journal())
	}
	lines := soon(matching)
	for _, line := range lines {
		t.Logf("the journal: %s", line)
	}
	if f.exits == "" {
		if out, code := w.try("windsock", "status"); code != 0 && code != 3 {
			t.Errorf("windsock status: exit code %d\n%s", code, out)
		}
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return !regexp.MustCompile(f.out).MatchString(line) })
	if len(lines) != 1 {
		t.Errorf("%d lines of the journal have the way out, want one: %q", len(lines), lines)
	}
	w.try("systemctl", "stop", unit)
	if f.after != "" {
		w.sh(f.after)
	}
	w.dropIn("")
}

// TestTheDatadogAgentsSocket is reached with the drop-in that gives the unit its group.
func TestTheDatadogAgentsSocket(t *testing.T) {
	w := installed(t, newPackage)
	dog := agenttest.NewStatsd(t, "/run/dsd.socket")
	w.sh("groupadd dd-agent && chgrp dd-agent /run/dsd.socket && chmod 0660 /run/dsd.socket")
	w.write(config, setup{exporters: "  - {name: dog, kind: datadog, with: {address: \"unix:///run/dsd.socket\"}}\n"}.text())
	w.useDropIn("datadog.conf")
	w.start()
	w.until("lines at the Datadog agent", func() bool { return dog.Count() > 0 })
}

// TestThePortIsTaken: the agent warns, runs, and has the port when it is free.
func TestThePortIsTaken(t *testing.T) {
	w := installed(t, newPackage)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.want(map[string]string{"ActiveState": "active", "NRestarts": "0"})
	lines := w.tells(regexp.QuoteMeta(listen))
	if t.Logf("the journal: %q", lines); len(lines) != 1 || !strings.Contains(lines[0], "in use") {
		t.Errorf("the journal has %q, want one line on the port", lines)
	}
	if out, code := w.try("windsock", "status"); code != 0 {
		t.Logf("windsock status without the port: exit code %d\n%s", code, out)
	}
	pid := w.pid()
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	w.until("the agent to have the port", func() bool { return w.health().Ready })
	if got := w.pid(); got != pid {
		t.Errorf("the process is %d, want %d", got, pid)
	}
	if _, code := w.try("windsock", "status"); code != 0 {
		t.Errorf("windsock status: exit code %d", code)
	}
}
