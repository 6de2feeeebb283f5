package checktest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
)

const (
	badKindVariable = "WINDSOCK_CHECKTEST_BAD_KIND"
	canary          = "canary-key-4711"
)

// promise is one promise that a kind breaks: how, and what the suite says.
type promise struct {
	build func(targetParams, checks.Env) (checks.Check, error) // nil: honest
	run   func(ctx context.Context, target string) (checks.Result, error)
	doc   string
	says  string
}

type targetParams struct {
	Target string `jsonschema_description:"Where to look." yaml:"target"`
}

func honest(ctx context.Context, target string) (checks.Result, error) {
	switch {
	case over(ctx):
		return checks.Undetermined(checks.CauseInternal, "the run was cut short"), nil
	case target == "hung":
		<-ctx.Done()
		return checks.Undetermined(checks.CauseTimeout, "no answer"), nil
	case target == "none":
		return checks.Fail(checks.CauseConnect, "nobody there"), nil
	}
	return checks.Pass("there"), nil
}

func over(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func promises() map[string]promise {
	return map[string]promise{
		"leaks the key in the summary": {run: func(context.Context, string) (checks.Result, error) {
			return checks.Pass("with " + canary), nil
		}, says: "holds the key"},
		"leaks the key in an error": {run: func(context.Context, string) (checks.Result, error) {
			return checks.Result{}, errors.New("with " + canary)
		}, says: "the error holds the key"},
		"is green without a target": {run: func(ctx context.Context, _ string) (checks.Result, error) {
			return honest(ctx, "good")
		}, says: "want neither ok, degraded nor skipped"},
		"ignores its deadline": {run: func(ctx context.Context, target string) (checks.Result, error) {
			if target == "hung" {
				<-time.After(time.Hour)
			}
			return honest(ctx, target)
		}, says: "did not return within"},
		"blames the target for a shutdown": {run: func(ctx context.Context, target string) (checks.Result, error) {
			if over(ctx) {
				return checks.Fail(checks.CauseTimeout, "no answer"), nil
			}
			return honest(ctx, target)
		}, says: "nothing was tried"},
		"starts a goroutine": {build: func(p targetParams, _ checks.Env) (checks.Check, error) {
			go func() { <-time.After(time.Hour) }()
			return checks.Func(func(ctx context.Context) (checks.Result, error) { return honest(ctx, p.Target) }), nil
		}, says: "building started a goroutine"},
		"does I/O when it is built": {build: func(p targetParams, env checks.Env) (checks.Check, error) {
			if env.Memory != nil {
				_, _ = env.Memory.Load(context.Background())
			}
			return checks.Func(func(ctx context.Context) (checks.Result, error) { return honest(ctx, p.Target) }), nil
		}, says: "Memory.Load"},
		"costs money unannounced": {run: func(ctx context.Context, target string) (checks.Result, error) {
			r, err := honest(ctx, target)
			r.Usage = &checks.Usage{Model: "m", Cost: 1}
			return r, err
		}, says: "does not implement checks.Paid"},
		"measures what it does not say": {build: func(p targetParams, env checks.Env) (checks.Check, error) {
			return quiet{checks.Func(func(ctx context.Context) (checks.Result, error) {
				r, err := honest(ctx, p.Target)
				r.Measurements = []checks.Measurement{{Name: "probe.unsaid", Value: 1}}
				if env.Provider == nil {
					err = errors.New("no provider")
				}
				return r, err
			})}, nil
		}, says: "measured probe.unsaid"},
		"says nothing": {run: func(ctx context.Context, target string) (checks.Result, error) {
			r, err := honest(ctx, target)
			r.Summary = ""
			return r, err
		}, says: "the summary is empty"},
		"is not documented": {doc: "no", says: "want a paragraph"},
	}
}

// quiet says that it measures nothing.
type quiet struct{ checks.Func }

func (quiet) Measures() []string { return []string{} }

func (p promise) kind() checks.Kind {
	if p.run == nil {
		p.run = honest
	}
	if p.build == nil {
		p.build = func(params targetParams, env checks.Env) (checks.Check, error) {
			return checks.Func(func(ctx context.Context) (checks.Result, error) {
				if env.Provider == nil {
					return checks.Result{}, errors.New("no provider")
				}
				return p.run(ctx, params.Target)
			}), nil
		}
	}
	if p.doc == "" {
		p.doc = "Looks at a target that lives in memory, for the tests of the suite itself."
	}
	return checks.NewKind("echo", p.doc, targetParams{}, p.build)
}

func target(name string) func(*testing.T) checktest.Case {
	return func(t *testing.T) checktest.Case {
		t.Helper()
		return checktest.Case{Params: "target: " + name, Env: checks.Env{Provider: "present"}}
	}
}

// TestRunABadKind does nothing unless this binary was started by the test below.
func TestRunABadKind(t *testing.T) {
	broken, ok := promises()[os.Getenv(badKindVariable)] //nolint:forbidigo // set by the test below, for this process alone
	if !ok {
		return
	}
	checktest.Run(t, broken.kind(), checktest.Options{
		Key: canary, Good: target("good"), Absent: target("none"), Hung: target("hung"), Grace: 500 * time.Millisecond,
	})
}

func TestTheSuiteCatchesAKindThat(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range promises() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestRunABadKind$", "-test.timeout=60s")
			cmd.Env = []string{badKindVariable + "=" + name}
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passed:\n%s", out)
			}
			if !strings.Contains(string(out), broken.says) {
				t.Errorf("the suite did not say %q:\n%s", broken.says, out)
			}
		})
	}
}

func TestTheSuitePassesAKindThatKeepsItsPromises(t *testing.T) {
	checktest.Run(t, promise{}.kind(), checktest.Options{
		Key: canary, Good: target("good"), Absent: target("none"), Hung: target("hung"), Refused: map[string]string{"a list": "target: [a]"},
	})
}
