package faults_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/agenttest"
)

// said wants exactly one line of the log at warn or above that matches, with a hint in it that matches too.
func (w *world) said(t *testing.T, line, hint string) {
	t.Helper()
	form := regexp.MustCompile(`level=(WARN|ERROR) msg="?` + line + `.* hint="?` + hint)
	n := 0
	for text := range strings.Lines(w.Log()) {
		if form.MatchString(text) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lines match %s, want one:\n%s", n, form, w.Log())
	}
}

// TestStartThePortIsTaken: the agent warns once, runs on, answers on its socket, and takes the port when it is free.
func TestStartThePortIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	holder := agenttest.Listener(t, w.Listen)
	w.Write(w.config("", ""))
	p := w.Start()
	w.heals(t)
	w.said(t, "status listener not open, trying again", "`ss -ltnp` shows who has the port")
	if _, err := agent.NewClient(filepath.Join(w.State, "control.sock")).Health(t.Context()); err != nil {
		t.Errorf("the control socket says nothing: %v", err)
	}
	_ = holder.Close()
	w.UntilReady()
	p.Stop()
}

// TestStartWithoutARuntimeDirectory: the control socket is in the state directory, where the verbs look then.
func TestStartWithoutARuntimeDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Env = append(w.Env, "RUNTIME_DIRECTORY="+filepath.Join(w.Dir, "run", "windsock"))
	p := w.start(t)
	w.heals(t)
	w.said(t, "the runtime directory is not there: the control socket is in the state directory", "RuntimeDirectory=windsock in the unit makes it")
	if _, err := agent.NewClient(filepath.Join(w.State, "control.sock")).Health(t.Context()); err != nil {
		t.Errorf("the control socket says nothing: %v", err)
	}
	p.Stop()
}

// TestStartWithoutTheCredential: the checks are our own errors, the line names the credential and how it comes there, and
// nothing else is wrong; when the key is there the checks run.
func TestStartWithoutTheCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := filepath.Join(w.Dir, "key")
	w.Write(strings.Replace(w.config("", ""), "{env: KEY}", "[{credential: mistral-api-key}, {file: "+key+"}]", 1))
	p := w.Start()
	w.UntilReady()
	w.verdict(t, "chat", checks.Error, checks.CauseConfig)
	w.said(t, "the provider has no API key: its checks are errors until it has one", "put it into /etc/credstore/mistral-api-key .*drop-ins/credential.conf")
	if code, _ := w.Page("/livez"); code != http.StatusOK {
		t.Errorf("without a key /livez answers %d", code)
	}
	if err := os.WriteFile(key, []byte(agenttest.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	w.heals(t)
	p.Stop()
}

// TestStartOnANewerStore: exit code 1, one line with both versions and the way out, and not a byte is changed.
func TestStartOnANewerStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	w.heals(t)
	p.Stop()
	file := filepath.Join(w.State, "windsock.db")
	newer, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copy(newer[60:64], []byte{0, 0, 0, 99}) // user_version, in SQLite's header
	if err := os.WriteFile(file, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	before := len(w.Log())
	if code := w.Start().Wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if got := w.Log()[before:]; !regexp.MustCompile(`^(time=\S+ level=WARN [^\n]*\n)*windsock: starting: the database has schema version 99.*; this agent knows versions up to \d+: install the newer agent again, .*\n$`).MatchString(got) {
		t.Errorf("the log says\n%s", got)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != string(newer) {
		t.Errorf("the newer store was touched (%v)", err)
	}
}
