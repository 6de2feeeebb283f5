package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestGateScripts runs testdata/gate/*.txtar: rollouts that are promoted, rolled back and not decided.
func TestGateScripts(t *testing.T) {
	cmds := maps.Clone(commands())
	cmds["rollout"], cmds["metrics"], cmds["masked"], cmds["pipeline"] = deployment, metricsOf, masked, pastedScript
	cmds["mute"] = muteSocket
	page, err := filepath.Abs("../../docs/gate.md")
	if err != nil {
		t.Fatal(err)
	}
	withPage := func(env *testscript.Env) error {
		env.Setenv("PAGE", page)
		return nil
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/gate", Setup: setup(t, withPage), Cmds: cmds, RequireExplicitExec: true})
}

// deployment PORT FILE is an application: what FILE holds is its health answer, and what FILE.chat holds is its chat answer. The first line is a
// status, or one of `basic`, `login` and `hang`, and a delay; the rest is the body. It is read again at each request.
func deployment(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: rollout PORT FILE")
	}
	over := make(chan struct{})
	ts.Defer(func() { close(over) })
	listenOn(ts, args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := ts.MkAbs(args[1])
		if r.URL.Path == "/chat" {
			file += ".chat"
		}
		text, err := os.ReadFile(file)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		first, body, _ := strings.Cut(string(text), "\n")
		word, delay, _ := strings.Cut(first, " ")
		if d, err := time.ParseDuration(delay); err == nil {
			await(over, d)
		}
		switch word {
		case "hang":
			await(over, patience)
		case "login":
			http.Redirect(w, r, "/login?next=/health", http.StatusMovedPermanently)
		case "basic":
			if user, password, _ := r.BasicAuth(); user == "probe" && password == "app-password-0123" {
				_, _ = fmt.Fprint(w, body)
				return
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			http.Error(w, "who is there?", http.StatusUnauthorized)
		default:
			status, _ := strconv.Atoi(word)
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
		}
	}))
}

// muteSocket is mute SOCKET: an agent that hangs. It takes connections and never answers.
func muteSocket(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o700))
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
}

// await waits for d, or until the script is over.
func await(over <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	}
}

// metricsOf PORT FILE is a Prometheus: the lines of FILE, `errors 0.02`, `errors-before 0.01`, `spend 0.001` and `spend-before 0.001`, are its
// answers; what has no line has no series. A last line `cached 1h` makes them an hour old.
func metricsOf(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: metrics PORT FILE")
	}
	listenOn(ts, args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, name, at := r.FormValue("query"), "errors", time.Now()
		if strings.Contains(query, "mistral_cost_usd_total") && !strings.Contains(query, "mistral_errors_total") {
			name = "spend"
		}
		if strings.HasPrefix(query, "last_over_time(") {
			name += "-before"
		}
		if strings.HasPrefix(query, "min(timestamp(") {
			name = "timestamp"
		}
		file, _ := os.ReadFile(ts.MkAbs(args[1]))
		text := string(file)
		if before, ago, cached := strings.Cut(text, "cached "); cached {
			age, err := time.ParseDuration(strings.TrimSpace(ago))
			ts.Check(err)
			text, at = before, at.Add(-age)
		}
		text += fmt.Sprintf("\ntimestamp %d\n", at.Unix())
		result := []any{}
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
				result = append(result, map[string]any{"metric": map[string]string{}, "value": []any{at.Unix(), value}})
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
	}))
}

// masked FILE puts fixed values in the place of ids, times, ports and durations, for goldens.
func masked(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for pattern, with := range map[string]string{
		`"01[0-9A-Z]{24}"`: `"ID"`, `"20\d\d-\d\d-\d\dT[0-9:.]+Z"`: `"TIME"`, `127\.0\.0\.1:\d+`: "127.0.0.1:PORT",
		`"took":[0-9.e-]+`: `"took":0.5`, `"round":\d+`: `"round":1`, `("name":"p95[^}]*?"value":)[0-9.e-]+`: "${1}0.5", `p95 \d\.\d+s`: "p95 0.500s",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// pastedScript is pipeline FILE: it writes the script of docs/gate.md, which people paste.
func pastedScript(ts *testscript.TestScript, _ bool, args []string) {
	page, err := os.ReadFile(ts.Getenv("PAGE"))
	ts.Check(err)
	_, text, _ := strings.Cut(string(page), "```sh\n#!/bin/sh\n")
	text, _, found := strings.Cut(text, "```")
	if !found {
		ts.Fatalf("the page has no script")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("#!/bin/sh\n"+text), 0o600))
}

// TestThePageOfTheGateNamesFlagsThatExist: every command of docs/gate.md is one that the verb takes, and its pipelines are YAML.
func TestThePageOfTheGateNamesFlagsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/gate.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^windsock gate (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(commands) < 7 {
		t.Fatalf("%d commands in docs/gate.md", len(commands))
	}
	for _, command := range commands {
		argv, err := shellWords(strings.NewReplacer(`"${FOR:-10m}"`, "10m", `"${EVERY:-60s}"`, "60s", `"$CANARY"`, "http://a", `"$STABLE"`, "http://b").Replace(command[1]))
		if err == nil {
			err = newGate(process{}).ParseFlags(argv)
		}
		if err != nil {
			t.Errorf("windsock gate %s: %v", command[1], err)
		}
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d pipelines in docs/gate.md", len(blocks))
	}
	for _, block := range blocks {
		var file map[string]any
		if err := yaml.Unmarshal([]byte(block[1]), &file); err != nil || !strings.Contains(block[1], "sh gate.sh") {
			t.Errorf("%v\n%s", err, block[1])
		}
	}
	for name := range flagsOf(t) {
		if !strings.Contains(string(page), "--"+name) && !slices.Contains([]string{"config", "output", "service", "timeout", "bearer", "help"}, name) {
			t.Errorf("the page does not name --%s", name)
		}
	}
}

// flagsOf are the flags of the verb.
func flagsOf(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^ +(?:-\w, |    )--([a-z0-9-]+)`).FindAllStringSubmatch(newGate(process{}).Flags().FlagUsages(), -1) {
		all[found[1]] = true
	}
	if len(all) < 20 {
		t.Fatalf("%d flags", len(all))
	}
	return all
}
