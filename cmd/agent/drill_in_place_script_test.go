package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// TestDrillInPlaceScripts runs testdata/drill_in_place/*.txtar.
func TestDrillInPlaceScripts(t *testing.T) {
	t.Parallel()
	cmds := commands()
	cmds["hear"], cmds["inplace"], cmds["drills"], cmds["unchanged"], cmds["heardend"], cmds["heardtext"] = hear, inPlaceByScript, drillsByScript, unchanged, heardEnd, heardText
	testscript.Run(t, testscript.Params{Dir: "testdata/drill_in_place", Setup: setup(t), Cmds: cmds, RequireExplicitExec: true})
}

// hear PORT DIR keeps what is posted to /NAME/… as a line of the file DIR/NAME.jsonl, and says ok as Slack does.
func hear(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: hear PORT DIR")
	}
	var writing sync.Mutex
	listenOn(ts, args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		writing.Lock()
		defer writing.Unlock()
		file := filepath.Join(ts.MkAbs(args[1]), filepath.Base(name)+".jsonl")
		before, _ := os.ReadFile(file)
		if err := os.WriteFile(file, append(append(before, bytes.TrimSpace(body)...), '\n'), 0o600); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("ok"))
	}))
}

// inPlaceByScript is `inplace CODE ARGS…`: `windsock drill --in-place` with them, fast. It wants the exit code, and leaves what
// was printed in the file report.
func inPlaceByScript(ts *testscript.TestScript, _ bool, args []string) {
	argv := append([]string{"drill", "--in-place", "--every", "50ms", "-o", "json"}, args[1:]...)
	code := 0
	if err := ts.Exec("windsock", argv...); err != nil {
		exited, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("running it: %v", err)
		}
		code = exited.ExitCode()
	}
	text := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	ts.Check(os.WriteFile(ts.MkAbs("report"), []byte(text), 0o600))
	if want := args[0]; strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

// drillsByScript is `drills METHOD STATUS [BODY]`: it asks the agent's control socket and leaves the answer in the file body.
// `drills until TEXT` asks until the answer holds the text.
func drillsByScript(ts *testscript.TestScript, _ bool, args []string) {
	client := agent.NewClient(ts.MkAbs("state/control.sock"))
	call := func(method string, body any) (int, string) {
		var got json.RawMessage
		err := client.Call(context.Background(), method, "/v1/drills", body, &got)
		if refused, ok := errors.AsType[*agent.RefusedError](err); ok {
			return refused.Status, refused.Text
		}
		ts.Check(err)
		return http.StatusOK, string(got)
	}
	if args[0] == "until" {
		last := ""
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if _, last = call(http.MethodGet, nil); strings.Contains(last, args[1]) {
				return
			}
		}
		ts.Fatalf("the drill never said %q; it says:\n%s", args[1], last)
	}
	var body any
	if len(args) > 2 {
		body = json.RawMessage(args[2])
	}
	status, text := call(args[0], body)
	ts.Check(os.WriteFile(ts.MkAbs("body"), []byte(text+"\n"), 0o600))
	if strconv.Itoa(status) != args[1] {
		ts.Fatalf("status %d, want %s:\n%s", status, args[1], text)
	}
}

// unchanged URL KEY… wants what the answer's JSON has under each key as it was at the first call.
func unchanged(ts *testscript.TestScript, _ bool, args []string) {
	_, body := fetch(http.MethodGet, args[0], "")
	var now map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(body), &now))
	for _, key := range args[1:] {
		file := ts.MkAbs("was-" + key)
		before, err := os.ReadFile(file)
		if err != nil {
			ts.Check(os.WriteFile(file, now[key], 0o600))
			continue
		}
		if !bytes.Equal(before, now[key]) {
			ts.Fatalf("%s was %s and is %s", key, before, now[key])
		}
	}
}

// heardEnd SCENARIO waits until the webhook of the script was told that an alert of the drill is over; with !, it was not.
func heardEnd(ts *testscript.TestScript, neg bool, args []string) {
	heardLine(ts, neg, `"status":"resolved"`, `"drill":"`+args[0]+`"`)
}

// heardText TEXT waits until the webhook was told something that holds the text.
func heardText(ts *testscript.TestScript, neg bool, args []string) { heardLine(ts, neg, args...) }

func heardLine(ts *testscript.TestScript, neg bool, texts ...string) {
	var data []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		data, _ = os.ReadFile(ts.MkAbs("heard/hook.jsonl"))
		heard := false
		for line := range strings.Lines(string(data)) {
			heard = heard || !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
		}
		if heard != neg {
			return
		}
	}
	ts.Fatalf("%q was to be told: %t; what was told:\n%s", texts, !neg, data)
}
