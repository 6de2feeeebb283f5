package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/windsock-monitor/windsock/internal/agenttest"
)

// TestMain makes the binary available to the scripts as `windsock`, and an application for it to watch as `app`.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"windsock": main, "app": application, "staging": staging})
}

// TestScripts runs testdata/script/*.txtar: what a user types, and what a user sees.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: setup(t), Cmds: commands(), RequireExplicitExec: true})
}

// setup gives each script a home, the shipped file, three ports, and what more adds.
func setup(t *testing.T, more ...func(*testscript.Env) error) func(*testscript.Env) error {
	t.Helper()
	shipped, err := filepath.Abs("../../schedules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return func(env *testscript.Env) error {
		env.Setenv("HOME", env.WorkDir)
		env.Setenv("SHIPPED", shipped)
		for i := 1; i <= 3; i++ {
			port, err := agenttest.FreePort(context.Background())
			if err != nil {
				return err
			}
			env.Setenv("PORT"+strconv.Itoa(i), port)
		}
		for _, add := range more {
			if err := add(env); err != nil {
				return err
			}
		}
		return nil
	}
}

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"waitfor": waitFor, "signal": signalJob, "get": get, "replace": replace, "post": post, "code": code, "serve": serve, "play": play,
		"receive": receive, "hook": hook, "collect": collect,
	}
}

// play runs the demo with these flags. Its story is told in real time, so that a machine with too little of it tells the
// story again, slower.
func play(ts *testscript.TestScript, _ bool, args []string) {
	var err error
	for _, length := range []string{"20s", "1m", "3m"} {
		if err = ts.Exec("windsock", append([]string{"demo", "--for", length}, args...)...); err == nil {
			return
		}
	}
	ts.Fatalf("the story never went as written: %v", err)
}

const patience = 2 * time.Minute

// waitFor FILE TEXT waits until the file holds the text; waitfor http URL TEXT until the page does.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: waitfor FILE TEXT | waitfor http URL TEXT")
	}
	read := func() string { data, _ := os.ReadFile(ts.MkAbs(args[0])); return string(data) }
	if args[0] == "http" {
		read = func() string { _, body := fetch(http.MethodGet, args[1], ""); return body }
	}
	want, last := args[len(args)-1], ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if last = read(); strings.Contains(last, want) != neg {
			return
		}
	}
	ts.Fatalf("%s never held %q; it held:\n%s", args[len(args)-2], want, last)
}

// get STATUS URL asks once, wants the status, and leaves the body as stdout for the next command.
func get(ts *testscript.TestScript, _ bool, args []string) {
	status, body := fetch(http.MethodGet, args[1], "")
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%s: status %d, want %s\n%s", args[1], status, args[0], body)
	}
	ts.Check(os.WriteFile(ts.MkAbs("body"), []byte(body), 0o600))
}

// post URL BODY sends JSON and wants a 2xx.
func post(ts *testscript.TestScript, _ bool, args []string) {
	status, body := fetch(http.MethodPost, args[0], args[1])
	if status/100 != 2 {
		ts.Fatalf("%s: status %d, want 2xx\n%s", args[0], status, body)
	}
}

func fetch(method, url, body string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	var b strings.Builder
	buffer := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buffer)
		b.Write(buffer[:n])
		if err != nil {
			return resp.StatusCode, b.String()
		}
	}
}

// signal NAME PIDFILE sends a signal to the process whose id the state directory's lock file holds.
func signalJob(ts *testscript.TestScript, _ bool, args []string) {
	names := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	if pid <= 1 {
		ts.Fatalf("%s holds pid %d", args[1], pid)
	}
	ts.Check(syscall.Kill(pid, names[args[0]]))
}

// serve PORT DIR serves the files of a directory on loopback, by their paths, until the script ends.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: serve PORT DIR")
	}
	listenOn(ts, args[0], http.FileServer(http.Dir(ts.MkAbs(args[1]))))
}

// receive PORT DIR notes what it is asked below /NAME/ as a line of the file DIR/NAME.log, and answers with the status that
// DIR/NAME.status holds, 200 where there is no such file.
func receive(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: receive PORT DIR")
	}
	var writing sync.Mutex
	listenOn(ts, args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		file := filepath.Join(ts.MkAbs(args[1]), filepath.Base(name))
		status := http.StatusOK
		if text, err := os.ReadFile(file + ".status"); err == nil {
			status, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		writing.Lock()
		defer writing.Unlock()
		before, _ := os.ReadFile(file + ".log")
		after := fmt.Appendf(before, "%d %s %s\n", status, r.Method, r.URL.RequestURI())
		if err := os.WriteFile(file+".log", after, 0o600); err != nil {
			status = http.StatusInternalServerError
		}
		w.WriteHeader(status)
	}))
}

// listenOn serves on loopback until the script ends.
func listenOn(ts *testscript.TestScript, port string, handler http.Handler) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+port)
	ts.Check(err)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	ts.Defer(func() {
		_ = server.Close()
		<-done
	})
}

// replace FILE OLD NEW… edits a file; the values of $variables are already in place.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for i := 1; i+1 < len(args); i += 2 {
		if !strings.Contains(text, args[i]) {
			ts.Fatalf("%s does not hold %q", args[0], args[i])
		}
		text = strings.ReplaceAll(text, args[i], args[i+1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// code N COMMAND… runs a command and wants its exit code. Its output is where exec leaves it.
func code(ts *testscript.TestScript, _ bool, args []string) {
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exited *exec.ExitError
		if !errors.As(err, &exited) {
			ts.Fatalf("running %v: %v", args[1:], err)
		}
		got = strconv.Itoa(exited.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("%v: exit code %s, want %s", args[1:], got, args[0])
	}
}
