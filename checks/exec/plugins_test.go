//go:build plugins

package exec_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/exec"
	"github.com/windsock-monitor/windsock/internal/spawn/spawntest"
)

// plugins is where Debian's package monitoring-plugins-basic puts them. Without it these tests fail; `make test-plugins`
// says how to get it.
const plugins = "/usr/lib/nagios/plugins"

func with(t *testing.T, argv ...string) checks.Result {
	t.Helper()
	if _, err := os.Stat(plugins); err != nil {
		t.Fatalf("the package monitoring-plugins-basic is missing: %v", err)
	}
	words := []string{strconv.Quote(plugins + "/" + argv[0])}
	for _, arg := range argv[1:] {
		words = append(words, strconv.Quote(arg))
	}
	check, err := exec.Kind().New(checktest.Decoder("argv: ["+strings.Join(words, ", ")+"]", ""), checks.Env{Spawn: spawner(t, plugins)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("%v: %v", argv, err)
	}
	return r
}

func TestRealPlugins(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("healthy"))
	}))
	defer server.Close()
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dead, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, closed, err := net.SplitHostPort(dead.Addr().String())
	if err != nil || dead.Close() != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		argv   []string
		status checks.Status
		words  string
		names  []string // of what is measured, with its label
	}{
		"dummy ok":       {[]string{"check_dummy", "0", "fine"}, checks.OK, "OK: fine", nil},
		"dummy warning":  {[]string{"check_dummy", "1"}, checks.Degraded, "WARNING", nil},
		"dummy critical": {[]string{"check_dummy", "2", "gone"}, checks.Failed, "gone", nil},
		"dummy unknown":  {[]string{"check_dummy", "3"}, checks.Unknown, "UNKNOWN", nil},
		"http ok": {
			[]string{"check_http", "-I", host, "-p", port, "-u", "/health", "-s", "healthy"},
			checks.OK, "HTTP OK",
			[]string{"probe.exec.time time", "probe.exec.size size"},
		},
		"http 500":       {[]string{"check_http", "-I", host, "-p", port, "-u", "/"}, checks.Failed, "500", []string{"probe.exec.time time"}},
		"http refused":   {[]string{"check_http", "-I", "127.0.0.1", "-p", closed}, checks.Failed, "refused", nil},
		"http misused":   {[]string{"check_http"}, checks.Unknown, "Could not parse arguments", nil},
		"tcp by a link":  {[]string{"check_imap", "-H", host, "-p", port, "-t", "2"}, checks.Failed, "", nil}, // check_tcp by another name speaks IMAP
		"processes":      {[]string{"check_procs", "-w", "1:100000", "-c", "1:100000"}, checks.OK, "PROCS OK", []string{"probe.exec.value procs"}},
		"load":           {[]string{"check_load", "-w", "9999,9999,9999", "-c", "9999,9999,9999"}, checks.OK, "load average", []string{"probe.exec.value load1", "probe.exec.value load15"}},
		"disk":           {[]string{"check_disk", "-w", "0%", "-c", "0%", "-p", "/"}, checks.OK, "DISK OK", []string{"probe.exec.size /"}},
		"a perl script":  {[]string{"check_file_age", "-f", "/etc/hostname", "-w", "999999999", "-c", "999999999"}, checks.OK, "FILE_AGE OK", []string{"probe.exec.time age"}},
		"a shell script": {[]string{"check_sensors", "--version"}, checks.OK, "check_sensors v", nil}, // printed by utils.sh, from beside it
	} {
		t.Run(name, func(t *testing.T) {
			r := with(t, tc.argv...)
			if r.Status != tc.status || !strings.Contains(r.Summary, tc.words) {
				t.Errorf("got %s %q (%s), want %s with %q; evidence %v", r.Status, r.Cause, r.Summary, tc.status, tc.words, r.Evidence)
			}
			got := fmt.Sprint(values(r))
			for _, want := range tc.names {
				if !strings.Contains(got, want) {
					t.Errorf("got the values %s, want %q among them", got, want)
				}
			}
		})
	}
}

func TestRealPluginsLeakNothing(t *testing.T) {
	with(t, "check_dummy", "0")
	before := spawntest.Descriptors(t)
	for range 50 {
		with(t, "check_dummy", "0")
	}
	if after := spawntest.Descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after 50 runs", before, after)
	}
}
