package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/agent"
	machine "github.com/windsock-monitor/windsock/internal/host"
)

// mute listens, takes connections, and never says a word.
func mute(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var taking sync.WaitGroup
	var held []net.Conn
	taking.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			held = append(held, conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		taking.Wait()
		for _, conn := range held {
			_ = conn.Close()
		}
	})
	return listener.Addr().String()
}

// TestAProbeOfWhatNeverAnswersEndsWithinTenSeconds: providers, an exporter, programs that give secrets, the resolver and
// systemd all hang.
func TestAProbeOfWhatNeverAnswersEndsWithinTenSeconds(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	root := t.TempDir()
	for path, text := range map[string]string{"etc/resolv.conf": "nameserver 192.0.2.53\nnameserver 192.0.2.54\n", "run/systemd/system/.keep": ""} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.change(`providers: {mistral: {base_url: "http://`+h.provider+`", api_key: {env: KEY}}}`, fmt.Sprintf(`
secrets: {slow: {command: [/bin/sleep, "60"]}, slower: {command: [/bin/sleep, "70"]}}
providers:
  mistral: {base_url: "https://%s", api_key: {env: KEY}}
  other: {base_url: "http://%s", api_key: {command: [/bin/sleep, "80"]}}`, mute(t), mute(t)))
	h.change("kind: models, schedule", "kind: models, provider: mistral, schedule")
	h.change("kind: chat, schedule", "kind: chat, provider: mistral, schedule")
	h.change("{name: scrape, kind: prometheus}", "{name: a, kind: otel, with: {endpoint: 'http://"+mute(t)+"'}}")
	h.change("checks:\n", "checks:\n  - {name: way, kind: egress, provider: other, schedule: '@every 1m', with: {hosts: [{host: far.example}], reference: 'near.example:443'}}\n")
	cfg, err := h.load()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	found := agent.Probe(t.Context(), cfg, agent.ProbeOptions{
		Registry: h.registry(), Version: "test", Log: slog.New(slog.DiscardHandler), Getenv: h.getenv,
		Host: machine.Options{Root: root, Shell: func(ctx context.Context, _ ...string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}},
	})
	took := time.Since(began)
	t.Logf("took %s", took)
	if took > 10*time.Second {
		t.Errorf("took %s, want ten seconds at the most", took)
	}
	wrong := map[string]bool{}
	for _, f := range found {
		wrong[f.Subject] = wrong[f.Subject] || !f.OK
		if strings.Contains(f.Detail+f.Hint, "canary") {
			t.Errorf("a secret is told: %+v", f)
		}
	}
	for _, subject := range []string{"secret slow", "secret slower", "secret of provider other", "provider mistral", "provider other", "exporter a", "resolver 192.0.2.53"} {
		if !wrong[subject] {
			t.Errorf("nothing is wrong with %s in %+v", subject, found)
		}
	}
}

// TestASecretIsTriedAsTheServiceFindsIt: who asks sees neither the unit's credentials nor its variables, and what only who
// asks sees is none of the service's.
func TestASecretIsTriedAsTheServiceFindsIt(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		source, unit, file string
		want               bool
		says, hint         string
	}{
		"a variable of who asks":                 {"{env: KEY}", "", "", false, "env KEY is set for who asks, not for windsock.service", "the value where one of the sources looks"},
		"a variable of the unit's file":          {"{env: THEIRS}", "", "THEIRS=x\n", true, "env THEIRS is given by /etc/default/windsock", ""},
		"a credential of the unit":               {"{credential: key}", "LoadCredential=key:/etc/key\n", "", true, "LoadCredential=key of /unit", ""},
		"a credential that the unit has not got": {"{credential: key}", "", "", false, "credential key: windsock.service is given none", ""},
		"a variable that nobody sets":            {"[{credential: key}, {env: NOWHERE}]", "", "", false, "env NOWHERE: not set for windsock.service", ""},
		"a file that is not there":               {"[{credential: key}, {file: /nowhere/key}]", "", "", false, "file /nowhere/key: absent", "install -m 0640 -o root -g windsock /dev/stdin /nowhere/key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.change("api_key: {env: KEY}", "api_key: "+tt.source)
			cfg, err := h.load()
			if err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			for at, text := range map[string]string{
				"run/systemd/system/.keep": "", "unit": "[Service]\n" + tt.unit, "etc/default/windsock": tt.file,
				"etc/passwd": "windsock:x:4711:4711::/:/bin/sh\n", "etc/group": "windsock:x:4711:\n",
			} {
				if err := os.MkdirAll(filepath.Join(root, filepath.Dir(at)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, at), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			shell := func(_ context.Context, argv ...string) (string, error) {
				if argv[len(argv)-1] == "--value" {
					return "252\n", nil
				}
				return "LoadState=loaded\nActiveState=inactive\nUser=windsock\nGroup=windsock\nFragmentPath=/unit\n" +
					"EnvironmentFiles=/etc/default/windsock (ignore_errors=yes)\nExecStart={ argv[]=/usr/bin/windsock run --config " + path + " ; }\n", nil
			}
			for _, f := range agent.Probe(t.Context(), cfg, agent.ProbeOptions{
				Registry: h.registry(), Version: "test", Log: slog.New(slog.DiscardHandler), Getenv: h.getenv, Host: machine.Options{Root: root, Shell: shell},
			}) {
				if f.Subject != "secret of provider mistral" {
					continue
				}
				if f.OK != tt.want || !strings.Contains(f.Detail, tt.says) || !strings.Contains(f.Hint, tt.hint) {
					t.Errorf("got %+v, want %t, %q, %q", f, tt.want, tt.says, tt.hint)
				}
				return
			}
			t.Error("the secret was not tried")
		})
	}
}
