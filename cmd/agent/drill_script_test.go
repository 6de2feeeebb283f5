package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/windsock-monitor/windsock/internal/drill"
)

// TestDrillScripts runs testdata/drill/*.txtar.
func TestDrillScripts(t *testing.T) {
	t.Parallel()
	cmds := commands()
	cmds["timeless"], cmds["empty"] = timeless, empty
	testscript.Run(t, testscript.Params{
		Dir: "testdata/drill", RequireExplicitExec: true, Cmds: cmds,
		Setup: setup(t, func(env *testscript.Env) error {
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
			return os.Mkdir(filepath.Join(env.WorkDir, "tmp"), 0o700)
		}),
	})
}

// timeless FILE writes a drill's report anew, with 1 for every time that was measured.
func timeless(ts *testscript.TestScript, _ bool, args []string) {
	var r drill.Report
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	r.At, r.Took, r.Config = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), 1, filepath.Base(r.Config)
	for i := range r.Scenarios {
		r.Scenarios[i].Others, r.Scenarios[i].Before = nil, nil // which depend on the moment
		if r.Scenarios[i].Tries > 1 {                           // as does how busy this machine is
			r.Scenarios[i].Tries, r.Scenarios[i].Speed = 1, drill.DefaultSpeed
		}
		for j := range r.Scenarios[i].Alerts {
			a := &r.Scenarios[i].Alerts[j]
			for _, measured := range []*float64{a.ToDetect, a.ToNotify, a.ToResolve} {
				if measured != nil {
					*measured = 1
				}
			}
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(text, '\n'), 0o600))
}

// empty DIR wants the folder to hold nothing.
func empty(ts *testscript.TestScript, _ bool, args []string) {
	left, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if len(names) > 0 {
		ts.Fatalf("%s holds %s", args[0], strings.Join(names, ", "))
	}
}
