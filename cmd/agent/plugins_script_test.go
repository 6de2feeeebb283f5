package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/windsock-monitor/windsock/internal/agenttest"
)

// toolchain lets scripts build with the caches of the test, in a home of their own, against this repository.
func toolchain(env *testscript.Env) error {
	repository, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	env.Setenv("REPO", repository)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS", "GONOSUMDB", "GOTOOLCHAIN"} {
		out, err := exec.CommandContext(context.Background(), "go", "env", name).Output()
		if err != nil {
			return fmt.Errorf("asking go for %s: %w", name, err)
		}
		env.Setenv(name, strings.TrimSpace(string(out)))
	}
	return nil
}

// condition is what scripts may ask of this host beyond what testscript knows.
func condition(name string) (bool, error) {
	if name == "python-grpc" { // Debian's python3-grpcio and python3-protobuf
		err := exec.CommandContext(context.Background(), "/usr/bin/python3", "-c", "import grpc, google.protobuf").Run()
		return err == nil, nil
	}
	return false, fmt.Errorf("no condition %q", name)
}

// collect PORT FILE is an OTLP backend on loopback, which keeps in FILE a line for each point that has come: its name, its
// attributes and its value.
func collect(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: collect PORT FILE")
	}
	collector := agenttest.NewCollector()
	var writing sync.Mutex
	file := ts.MkAbs(args[1])
	listenOn(ts, args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writing.Lock()
		defer writing.Unlock()
		collector.ServeHTTP(w, r)
		var lines []string
		for key, value := range collector.Points() {
			name, _, _ := strings.Cut(key, "@")
			lines = append(lines, fmt.Sprintf("%s %v\n", name, value))
		}
		slices.Sort(lines)
		_ = os.WriteFile(file, []byte(strings.Join(slices.Compact(lines), "")), 0o600)
	}))
}

// The road of somebody who has never met us, from an empty folder to results in a backend.
func TestPluginScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds plugins")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/plugins", Setup: setup(t, toolchain), Cmds: commands(), Condition: condition, RequireExplicitExec: true,
	})
}
