package plugintest_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/plugins/plugintest"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conformance.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileWithParametersThatIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, says string }{
		"an unknown word":           {`{"kinds": {"probe": {"god": {}}}}`, `unknown field "god"`},
		"parameters in a list":      {`{"kinds": {"probe": {"black_hole": []}}}`, "kinds.probe.black_hole is not an object"},
		"parameters that are null":  {`{"kinds": {"probe": {"good": null}}}`, "kinds.probe.good is not an object"},
		"a duration without a unit": {`{"kinds": {"probe": {"timeout": "5"}}}`, "missing unit"},
		"a long timeout":            {`{"kinds": {"probe": {"timeout": "5m"}}}`, "kinds.probe.timeout is 5m0s, want at most 1m"},
		"no target that is away":    {`{"kinds": {"probe": {"no_target": true, "unreachable": {}}}}`, "kinds.probe has no_target and a target that is away"},
		"a variable without a name": {`{"env": {"": "x"}}`, `env has the name ""`},
		"two objects":               {`{} {}`, "something stands after the object"},
		"no JSON":                   {`kinds:`, "invalid character"},
		"too much":                  {strings.Repeat(" ", 1<<20) + "{}", "larger than 1048576 bytes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := plugintest.ReadConfig(write(t, c.text))
			if got := fmt.Sprint(err); !strings.Contains(got, c.says) {
				t.Errorf("got %s, want %q", got, c.says)
			}
		})
	}
	if _, err := plugintest.ReadConfig(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestWhatCannotBeTriedIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{"": "no plugin is named", filepath.Join(dir, "none"): "no such file", dir: "is not a file", plain: "cannot be executed"} {
		if _, err := plugintest.Run(t.Context(), plugintest.Options{Path: path}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", path, err, says)
		}
	}
	if _, err := plugintest.Run(t.Context(), plugintest.Options{Path: built(t), Only: []string{"fly"}}); err == nil || !strings.Contains(err.Error(), `no case or group "fly"`) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutParametersNothingIsGreenThatWasNotTried(t *testing.T) {
	t.Parallel()
	r := run(t, plugintest.Options{Path: built(t)})
	if r.Level != plugintest.LevelNone || r.Failed() || r.Passed() {
		t.Errorf("got %s", text(r))
	}
	for _, c := range r.Cases {
		if c.Number >= 13 && c.Outcome == plugintest.OK {
			t.Errorf("case %d is ok without parameters", c.Number)
		}
	}
	if got := strings.Join(r.Missing, "\n"); !strings.Contains(got, "kinds.probe lacks good, unreachable, black_hole") {
		t.Errorf("missing is %q", got)
	}
}

func TestParametersOfATargetThatIsAwayServeWhatIsNotAboutTheVerdict(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	for name, k := range c.Kinds {
		k.Good = nil
		c.Kinds[name] = k
	}
	r := run(t, plugintest.Options{Path: built(t), Config: c})
	if got := fmt.Sprint(numbers(r, plugintest.NotTried), numbers(r, plugintest.NotOK)); got != "[13 19] []" || r.Level != plugintest.LevelNone {
		t.Errorf("not tried and not ok are %s: %s", got, text(r))
	}
}

func TestAKindWithoutATargetSkipsWhatIsAboutOne(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	for name, k := range c.Kinds {
		k.Unreachable, k.BlackHole, k.NoTarget = nil, nil, true
		c.Kinds[name] = k
	}
	r := run(t, plugintest.Options{Path: built(t), Config: c, Only: []string{"14", "15", "16", "20", "27"}})
	if got := fmt.Sprint(numbers(r, plugintest.Skipped), numbers(r, plugintest.OK)); got != "[14 15 16 20] [27]" || !r.Passed() {
		t.Errorf("got %s", text(r))
	}
	if r.Level != plugintest.LevelNone {
		t.Errorf("a part of the suite has the level %s, want none", r.Level)
	}
}

func TestAKindThatThePluginHasNotIsTold(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	c.Kinds["shop"] = plugintest.KindConfig{}
	r := run(t, plugintest.Options{Path: built(t), Config: c, Only: []string{"3"}})
	if got := strings.Join(r.Missing, "\n"); got != "kinds.shop is no kind of the plugin, which has lake, probe" {
		t.Errorf("missing is %q", got)
	}
}

func TestProgressComesInOrder(t *testing.T) {
	t.Parallel()
	var got []int
	r := run(t, plugintest.Options{
		Path: built(t), Config: config(t, ""), Only: []string{"process", "12"},
		Progress: func(c plugintest.Case) { got = append(got, c.Number) },
	})
	if fmt.Sprint(got) != "[1 2 3 4 5 6 12]" || len(r.Cases) != 7 {
		t.Errorf("told of %v", got)
	}
}

func TestASuiteThatIsEndedBlamesNobody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := 0
	r, err := plugintest.Run(ctx, plugintest.Options{Path: built(t), Config: config(t, ""), Progress: func(plugintest.Case) {
		told++
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || r.Level != plugintest.LevelNone || r.Count(plugintest.NotOK) > 0 {
		t.Errorf("got %v, %s", err, text(r))
	}
	if told != 1 || r.Count(plugintest.NotTried) == 0 {
		t.Errorf("told of %d cases, want 1, and %s", told, text(r))
	}
}

// told is a T that keeps what it is told.
type told struct {
	*testing.T

	errs  []string
	fatal string
}

func (t *told) Errorf(format string, args ...any) {
	t.errs = append(t.errs, fmt.Sprintf(format, args...))
}

func (t *told) Fatal(args ...any) {
	t.fatal = fmt.Sprint(args...)
	panic(t)
}

func conform(t *testing.T, path, config string) *told {
	t.Helper()
	got := &told{T: t}
	defer func() {
		if p := recover(); p != nil && p != any(got) {
			panic(p)
		}
	}()
	plugintest.Conform(got, path, config)
	return got
}

func TestConformFailsATestForEachRequiredCase(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, built(t), write(t, parameters))
	bad := strings.Replace(parameters, `"secrets"`, `"env": {"PLUGINTEST_BAD": "nan"}, "secrets"`, 1)
	if got := conform(t, built(t), write(t, bad)); len(got.errs) != 1 || !strings.HasPrefix(got.errs[0], "not ok 13 - run: ") {
		t.Errorf("got %q", got.errs)
	}
	recommended := strings.Replace(parameters, `"secrets"`, `"env": {"PLUGINTEST_BAD": "plain-log"}, "secrets"`, 1)
	if got := conform(t, built(t), write(t, recommended)); len(got.errs) != 0 {
		t.Errorf("a recommended case failed the test: %q", got.errs)
	}
	if got := conform(t, built(t), ""); len(got.errs) < 10 {
		t.Errorf("without parameters got %q, want an error for each case that was not tried", got.errs)
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	r := plugintest.Report{Plugin: "shop", Protocol: 1, Level: plugintest.LevelNone, Cases: []plugintest.Case{
		{Number: 1, Group: "process", Name: "starts", Required: true, Outcome: plugintest.OK, Notes: []string{"in 3 ms"}},
		{Number: 2, Group: "process", Name: "breaks", Required: true, Outcome: plugintest.NotOK, Reasons: []string{"it said <no> & \x00"}},
		{Number: 3, Group: "run", Name: "is left out", Required: true, Outcome: plugintest.NotTried, Reasons: []string{"no parameters"}},
		{Number: 4, Group: "run", Name: "is not there", Required: true, Outcome: plugintest.Skipped, Reasons: []string{"no check"}},
		{Number: 5, Group: "run", Name: "is not nice", Outcome: plugintest.NotOK, Reasons: []string{"rude"}},
	}}
	var b bytes.Buffer
	if err := r.JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure string `xml:"failure"`
			Skipped string `xml:"skipped"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if got.Tests != 5 || got.Failures != 2 || got.Skipped != 2 || len(got.Cases) != 5 {
		t.Fatalf("got %+v", got)
	}
	if got.Cases[1].Failure != "it said <no> & \uFFFD" || got.Cases[2].Failure != "no parameters" || got.Cases[4].Skipped != "rude" {
		t.Errorf("got %+v", got.Cases)
	}
}
