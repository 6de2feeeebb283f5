package host_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/internal/host"
)

var update = flag.Bool("update", false, "write the golden files anew") //nolint:gochecknoglobals // a flag

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree is a root of a host in a folder of the test, with these files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const unitFile = `[Service]
Type=notify
User=windsock
ExecStart=/usr/bin/windsock run --config /etc/windsock/schedules.yaml
RestartSteps=6
ImportCredential=windsock.*
StateDirectory=windsock
RuntimeDirectory=windsock
`

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nwindsock:x:4711:4711::/nonexistent:/usr/sbin/nologin\nother:x:4712:4712::/:/bin/sh\n"
	group  = "root:x:0:\nwindsock:x:4711:\ndd-agent:x:4713:windsock\n"
	tcp    = "  sl  local_address rem_address\n" +
		"   0: 0100007F:24F8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  4711        0 5150 1 0 100 0 0 10 0\n"
	meminfo = "MemTotal:        4000000 kB\nMemFree: 1 kB\nMemAvailable:    2000000 kB\n"
)

// bookworm is a host with systemd 252 on which the unit runs as process 812 and has the port.
func bookworm() map[string]string {
	return map[string]string{
		"run/systemd/system/.keep":                 "",
		"usr/lib/systemd/system/windsock.service":  unitFile,
		"usr/lib/sysusers.d/windsock.conf":         "u windsock -\n",
		"usr/share/windsock/drop-ins/datadog.conf": "[Service]\nSupplementaryGroups=dd-agent\n",
		"etc/passwd":                        passwd,
		"etc/group":                         group,
		"etc/resolv.conf":                   "nameserver 192.0.2.53\n",
		"etc/ssl/certs/ca-certificates.crt": strings.Repeat("-----BEGIN CERTIFICATE-----\n", 2),
		"etc/default/windsock":              "# optional\nMISTRAL_API_KEY=\"sk-canary\"\n",
		"proc/meminfo":                      meminfo,
		"proc/812/comm":                     "windsock\n",
		"proc/net/tcp":                      tcp,
		"sys/fs/cgroup/cgroup.controllers":  "cpu memory pids\n",
	}
}

func show(props string) func(context.Context, ...string) (string, error) {
	return func(_ context.Context, argv ...string) (string, error) {
		if argv[len(argv)-1] == "--value" {
			return "252 (252.39-1~deb12u2)\n", nil
		}
		return props, nil
	}
}

const props = `LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
User=windsock
Group=windsock
SupplementaryGroups=
NeedDaemonReload=no
FragmentPath=/usr/lib/systemd/system/windsock.service
DropInPaths=
MemoryMax=1073741824
LimitNOFILE=65536
Environment=GOMEMLIMIT=768MiB
EnvironmentFiles=/etc/default/windsock (ignore_errors=yes)
MainPID=812
ExecStart={ path=/usr/bin/windsock ; argv[]=/usr/bin/windsock run --config /etc/windsock/schedules.yaml ; ignore_errors=no }
Delegate=no
ProtectControlGroups=yes
ProtectHome=yes
PrivateTmp=yes
`

// world is a host to look at.
type world struct {
	files   map[string]string
	props   string
	shell   func(context.Context, ...string) (string, error)
	options host.Options
}

func (w world) look(t *testing.T) []host.Finding {
	t.Helper()
	o := w.options
	o.Root, o.Shell = tree(t, w.files), w.shell
	if o.Shell == nil {
		o.Shell = show(w.props)
	}
	if strings.Contains(w.files["proc/net/tcp"], "5150") {
		fds := filepath.Join(o.Root, "proc/812/fd")
		if err := os.MkdirAll(fds, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("socket:[5150]", filepath.Join(fds, "7")); err != nil {
			t.Fatal(err)
		}
	}
	if o.Config == "" {
		o.Config = "/etc/windsock/schedules.yaml"
	}
	found := host.Look(t.Context(), host.FindService(t.Context(), o), o)
	for i := range found {
		found[i].Detail = strings.ReplaceAll(found[i].Detail, o.Root, "$ROOT")
		found[i].Fix = strings.ReplaceAll(found[i].Fix, o.Root, "$ROOT")
	}
	return found
}

func worlds() map[string]world {
	listening := host.Options{Listen: "127.0.0.1:9464"}
	unread := bookworm()
	unread["etc/systemd/system/windsock.service.d/more.conf"] = "[Service]\n"
	someone := bookworm()
	delete(someone, "proc/812/comm")
	nobody := bookworm()
	nobody["etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\n"
	nobody["etc/resolv.conf"] = "search a.example b.example\noptions ndots:5\n"
	delete(nobody, "etc/ssl/certs/ca-certificates.crt")
	grave := bookworm()
	grave["usr/lib/systemd/system/windsock.service"] = strings.Replace(unitFile, "Type=notify", "Type=notify-reload", 1)
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(props) }
	return map[string]world{
		"well": {files: bookworm(), props: props, options: listening},
		"laptop": {files: map[string]string{"etc/passwd": "", "etc/resolv.conf": "nameserver 192.0.2.53\n", "etc/ssl/cert.pem": "-----BEGIN CERTIFICATE-----"}, options: host.Options{
			Config: "/home/me/schedules.yaml", Listen: "127.0.0.1:9464",
		}},
		"not-running": {files: unread, props: replaced("ActiveState=active", "ActiveState=failed", "SubState=running", "SubState=failed", "MainPID=812", "MainPID=0", "MemoryMax=1073741824", "MemoryMax=infinity"), options: listening},
		"narrow": {files: bookworm(), props: replaced("MemoryMax=1073741824", "MemoryMax=536870912", "LimitNOFILE=65536", "LimitNOFILE=256", "UnitFileState=enabled", "UnitFileState=disabled",
			"NeedDaemonReload=no", "NeedDaemonReload=yes"), options: host.Options{Programs: true}},
		"no-group":   {files: bookworm(), props: replaced("SupplementaryGroups=", "SupplementaryGroups=dd-agent 4713 nowhere")},
		"no-user":    {files: nobody, props: props},
		"restarting": {files: bookworm(), props: replaced("ActiveState=active", "ActiveState=activating\nResult=exit-code", "SubState=running", "SubState=auto-restart", "MainPID=812", "MainPID=0")},
		"old-systemd": {files: grave, shell: func(_ context.Context, argv ...string) (string, error) {
			if argv[len(argv)-1] == "--value" {
				return "245 (245.4-4ubuntu3.24)\n", nil
			}
			return props, nil
		}},
		"notify-reload": {files: grave, props: props},
		"silent-systemd": {files: bookworm(), shell: func(context.Context, ...string) (string, error) {
			return "", errors.New("systemctl did not answer in time")
		}},
		"not-installed": {files: bookworm(), props: "LoadState=not-found\nActiveState=inactive\n"},
		"as-root":       {files: bookworm(), props: replaced("User=windsock", "User=", "MemoryMax=1073741824", "MemoryMax=8589934592")},
		"proxy": {files: bookworm(), props: props, options: host.Options{
			Getenv: func(name string) string {
				return map[string]string{"HTTPS_PROXY": "http://u:canary@p:1", "http_proxy": "http://q:1"}[name]
			},
			Network: host.Network{Proxies: map[string]string{"HTTPS_PROXY": "http://u:canary@p:1", "HTTP_PROXY": "http://file:1"}},
		}},
	}
}

// TestWhatIsFoundOnAHost holds the findings still: one file for each host. The file of a check that is not there is the
// configuration, because no test makes /etc/windsock.
func TestWhatIsFoundOnAHost(t *testing.T) {
	t.Parallel()
	for name, w := range worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			for _, f := range w.look(t) {
				asker := slices.Contains([]string{"laptop", "not-installed", "silent-systemd"}, name)
				if f.Subject == "configuration" || asker && (f.Subject == "user" || f.Subject == "descriptors") {
					continue // of who runs the test, and where
				}
				fmt.Fprintf(&got, "%s %s: %s\n", f.Level, f.Subject, f.Detail)
				if f.Fix != "" {
					fmt.Fprintf(&got, "  fix: %s\n", f.Fix)
				}
				if f.Level != host.OK && f.Fix == "" {
					t.Errorf("%s has no way out: %s", f.Subject, f.Detail)
				}
				if strings.Contains(f.Detail+f.Fix, "canary") {
					t.Errorf("a secret is told: %+v", f)
				}
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

// TestWhatTheUnitGives: who asks sees neither the unit's credentials nor its variables.
func TestWhatTheUnitGives(t *testing.T) {
	t.Parallel()
	files := bookworm()
	files["usr/lib/systemd/system/windsock.service"] += "LoadCredential=loaded:/etc/key\n"
	files["etc/credstore/windsock.imported"] = "x"
	running := bookworm()
	running["run/credentials/windsock.service/there"] = "x"
	running["usr/lib/systemd/system/windsock.service"] += "LoadCredential=new:/etc/key\n"
	stopped := strings.Replace(props, "ActiveState=active", "ActiveState=inactive", 1)
	later := func(_ context.Context, argv ...string) (string, error) {
		if argv[len(argv)-1] == "--value" {
			return "257.9\n", nil
		}
		return stopped, nil
	}
	tests := map[string]struct {
		files map[string]string
		shell func(context.Context, ...string) (string, error)
		place string
		want  bool
	}{
		"a credential that the unit loads":                         {files, show(stopped), "credential loaded", true},
		"one that nobody loads":                                    {files, show(stopped), "credential strange", false},
		"one that is imported":                                     {files, later, "credential windsock.imported", true},
		"one that a systemd before 254 would not import":           {files, show(stopped), "credential windsock.imported", false},
		"one that would be imported, and is nowhere":               {files, later, "credential windsock.nowhere", false},
		"one that the running unit has":                            {running, show(props), "credential there", true},
		"one that was added to the unit while it runs":             {running, show(props), "credential new", false},
		"a variable of the environment file":                       {files, show(props), "env MISTRAL_API_KEY", true},
		"a variable of Environment=":                               {files, show(props), "env GOMEMLIMIT", true},
		"a variable of who asks":                                   {files, show(props), "env HOME", false},
		"a credential where no unit runs the configuration at all": {files, show("LoadState=not-found\n"), "credential loaded", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := host.Options{Root: tree(t, tt.files), Shell: tt.shell, Config: "/etc/windsock/schedules.yaml"}
			if by, got := host.FindService(t.Context(), o).Gives(o, tt.place); got != tt.want {
				t.Errorf("got %t by %q, want %t", got, by, tt.want)
			}
		})
	}
}

// TestACredentialThatLiesReadyIsBroughtIn: by a restart where the unit imports it, by a line of its own where systemd is too
// old for that.
func TestACredentialThatLiesReadyIsBroughtIn(t *testing.T) {
	t.Parallel()
	files := bookworm()
	files["etc/credstore/windsock.key"] = "x"
	later := func(_ context.Context, argv ...string) (string, error) {
		if argv[len(argv)-1] == "--value" {
			return "257.9\n", nil
		}
		return props, nil
	}
	o := host.Options{Root: tree(t, files), Shell: later, Config: "/etc/windsock/schedules.yaml"}
	const restart = "systemctl daemon-reload && systemctl restart windsock.service"
	if got := host.FindService(t.Context(), o).Bring(o, "windsock.key"); got != restart {
		t.Errorf("with systemd 257: got %q, want %q", got, restart)
	}
	if got := host.FindService(t.Context(), o).Bring(o, "windsock.other"); got != "" {
		t.Errorf("of one that is nowhere: got %q", got)
	}
	o.Shell = show(props)
	want := `mkdir -p /etc/systemd/system/windsock.service.d && printf '[Service]\nLoadCredential=windsock.key:/etc/credstore/windsock.key\n' ` +
		`>/etc/systemd/system/windsock.service.d/credential-windsock.key.conf && ` + restart
	if got := host.FindService(t.Context(), o).Bring(o, "windsock.key"); got != want {
		t.Errorf("with systemd 252: got %q, want %q", got, want)
	}
}

// TestAnInstanceHasItsOwnUnit: by the installed layout.
func TestAnInstanceHasItsOwnUnit(t *testing.T) {
	t.Parallel()
	var asked string
	files := bookworm()
	files["usr/lib/systemd/system/windsock@.service"] = "StateDirectory=windsock@%i\nRuntimeDirectory=windsock@%i\n"
	o := host.Options{Root: tree(t, files), Config: "/etc/windsock/paris.yaml", Shell: func(_ context.Context, argv ...string) (string, error) {
		if argv[len(argv)-1] == "--value" {
			return "257.9\n", nil
		}
		asked = argv[len(argv)-1]
		return strings.NewReplacer("/windsock.service", "/windsock@.service", "schedules.yaml", "paris.yaml").Replace(props), nil
	}}
	s := host.FindService(t.Context(), o)
	state, runtime := s.Directories()
	if asked != "windsock@paris.service" || s.Unit != asked || state != "/var/lib/windsock@paris" || runtime != "/run/windsock@paris" {
		t.Errorf("asked for %q, got %q with %q and %q", asked, s.Unit, state, runtime)
	}
}

// TestAProbeThatTheKernelHoldsUpIsAFinding: nobody can wait for a network disk that does not answer.
func TestAProbeThatTheKernelHoldsUpIsAFinding(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	got := host.Held(release)
	close(release)
	if len(got) != 1 || got[0].Subject != "disk" || got[0].Level != host.Wrong || !strings.Contains(got[0].Detail, "did not end within 5s") {
		t.Errorf("got %+v", got)
	}
}
