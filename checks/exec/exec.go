// Package exec runs a monitoring plugin of the Nagios kind and turns its exit status, text and performance data into a
// result. It starts no process itself: the agent does, within bounds, and only from directories that are allowed.
package exec

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const doc = `Runs a monitoring plugin by the Nagios protocol and reports its exit status, its text and its performance data. 0 is ok, 1 (WARNING)
degraded, 2 (CRITICAL) failed, 3 (UNKNOWN) unknown; any other status, a death by a signal and a program that cannot be started are an error of our own side, never the target's.
A plugin that says 0 and prints nothing has shown nothing, and is unknown. One that does not end in time is stopped with all that it started and is unknown, or failed where timeout_means says so.
A process that it leaves behind in a session of its own and with an emptied environment is the one that is not found.
Only programs in a directory of programs.directories run, and only when nobody but root and the agent's user can change them; there is no shell. The plugin runs as the agent's user, confined: it reads and executes
the system's programs and libraries, the settings of network and TLS, the allowed directories and programs.read, and changes only what programs.write names. Where a plugin says "Permission denied" of a file that the agent's user may use,
or "Operation not permitted" of chmod or chown, the confinement said so: name the file's folder in programs.read or programs.write.
Values become probe.exec.time, size, percent, counter or value with the plugin's name for them as label: milliseconds as seconds, KB as 1024 bytes, U as no value. At most 100 are kept.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("exec", doc, defaults(), New)
	kind.Provider = checks.ProviderNamed
	return kind
}

// Exec is one check by a plugin.
type Exec struct {
	params Params
	spawn  checks.Spawner
}

// New builds the check. A plugin that the agent may not run is refused here, by its path.
func New(params Params, env checks.Env) (checks.Check, error) {
	const hint = "allow its directory with programs: {directories: [/usr/lib/nagios/plugins]} at the top of the file"
	if env.Spawn == nil {
		return nil, checks.Invalid("argv.0", "no directory of programs is allowed; %s", hint)
	}
	if err := env.Spawn.Permits(params.Argv[0]); err != nil {
		return nil, checks.Invalid("argv.0", "%v; %s", err, hint)
	}
	return &Exec{params, env.Spawn}, nil
}

// Owner is whose fault WARNING and CRITICAL are, and slowness.
func (e *Exec) Owner() checks.Blame { return e.params.Blame }

// Measures implements checks.Measuring: what a plugin may report, by its units.
func (e *Exec) Measures() []string {
	return []string{"probe.exec.counter", "probe.exec.percent", "probe.exec.size", "probe.exec.time", "probe.exec.value"}
}

// Run runs the plugin once. It stops it a little before the deadline of ctx, so that a plugin that hangs is a result.
func (e *Exec) Run(ctx context.Context) (checks.Result, error) {
	inner, grace, cancel := within(ctx)
	defer cancel()
	ended, err := e.spawn.Spawn(inner, checks.Program{
		Argv: e.params.Argv, Env: e.params.Env, Secrets: e.params.SecretEnv, Grace: grace,
	})
	if err != nil {
		return notStarted(err)
	}
	return e.judge(ended)
}

// within leaves a tenth of the time, a second at most, for ending the plugin: half of it between SIGTERM and SIGKILL.
func within(ctx context.Context) (inner context.Context, grace time.Duration, cancel context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		inner, cancel = context.WithTimeout(ctx, time.Minute)
		return inner, time.Second, cancel
	}
	margin := min(time.Until(end)/10, time.Second)
	inner, cancel = context.WithDeadline(ctx, end.Add(-margin))
	return inner, max(margin/2, time.Millisecond), cancel
}

func notStarted(err error) (checks.Result, error) {
	r := checks.Result{Cause: checks.CauseInternal}
	r.Evidence = []checks.Step{{Name: "start", Detail: outbound.Sanitize(err.Error(), maxLine)}}
	switch {
	case errors.Is(err, context.Canceled):
		return cutShort(r.Evidence), nil
	case errors.Is(err, context.DeadlineExceeded):
		return checks.Result{
			Status: checks.Unknown, Cause: checks.CauseTimeout, Blame: checks.BlameOurs, Evidence: r.Evidence,
			Summary: "no time was left to start the plugin",
		}, nil
	case errors.Is(err, checks.ErrProgramMissing), errors.Is(err, checks.ErrProgramRefused),
		errors.Is(err, checks.ErrProgramBroken), errors.Is(err, checks.ErrNoSecret):
		r.Cause = checks.CauseConfig
	}
	return r, fmt.Errorf("running the plugin: %w", err)
}

func cutShort(evidence []checks.Step) checks.Result {
	r := checks.Undetermined(checks.CauseInternal, "the run was cut short")
	r.Evidence = evidence
	return r
}

// judge turns the plugin's end into a result.
func (e *Exec) judge(ended checks.Ended) (checks.Result, error) {
	out := parseOutput(whole(ended.Stdout, ended.Cut))
	m := measure(out.perf)
	r := checks.Result{Evidence: e.evidence(ended, m)}
	if text := outbound.Sanitize(ended.Stderr, maxLine); text != "" && (ended.Code != 0 || out.text == "") {
		r.Evidence = append(r.Evidence, checks.Step{Name: "stderr", Detail: text})
	}
	switch ended.Stopped {
	case checks.StopCancelled:
		return cutShort(r.Evidence), nil
	case checks.StopDeadline:
		return e.timedOut(r, ended), nil
	case checks.StopFlood:
		r.Cause, r.Blame = checks.CauseResponseTooLarge, checks.BlameOurs
		r.Summary = "the plugin printed without end and was killed"
		return r, nil
	case checks.StopNone:
	}
	if ended.Signal != "" || ended.Code < 0 || ended.Code > 3 {
		return broken(r, ended, out)
	}
	verdict(&r, ended.Code, out)
	r.Measurements, r.Facts = m.list, m.facts
	if out.long != "" {
		r.Facts["long_text"] = out.long
	}
	return r, nil
}

func (e *Exec) timedOut(r checks.Result, ended checks.Ended) checks.Result {
	r.Cause = checks.CauseTimeout
	r.Summary = fmt.Sprintf("the plugin did not end within %s and was stopped", ended.Took.Round(time.Millisecond))
	if e.params.TimeoutMeans == timeoutFailed {
		r.Status = checks.Failed
		return r
	}
	r.Blame = checks.BlameOurs
	return r
}

// broken is a plugin that does not keep to the protocol: it says nothing about the target.
func broken(r checks.Result, ended checks.Ended, out output) (checks.Result, error) {
	r.Cause = checks.CauseInternal
	var what string
	switch {
	case ended.Signal != "":
		what = "was ended by a signal (" + ended.Signal + ")"
	case ended.Code == 126 || ended.Code == 127:
		r.Cause = checks.CauseConfig
		what = fmt.Sprintf("ended with %d: it could not run a program that it needs", ended.Code)
	default:
		what = fmt.Sprintf("ended with %d, which is not of the plugin protocol", ended.Code)
	}
	if out.text != "" {
		what += ": " + out.text
	}
	return r, errors.New(outbound.Sanitize("the plugin "+what, maxLine))
}

// verdict is the protocol's: 0 to 3.
func verdict(r *checks.Result, code int, out output) {
	r.Summary = out.text
	if out.text == "" {
		r.Summary = fmt.Sprintf("the plugin ended with %d and printed no text", code)
	}
	switch code {
	case 0:
		r.Status = checks.OK
		if out.text == "" && strings.TrimSpace(out.perf) == "" {
			r.Status, r.Cause, r.Blame = checks.Unknown, checks.CauseMalformed, checks.BlameOurs
		}
	case 1:
		r.Status, r.Cause = checks.Degraded, checks.CauseAssertion
	case 2:
		r.Status, r.Cause = checks.Failed, checks.CauseAssertion
	default: // UNKNOWN: bad arguments, or something the plugin needs is not there
		r.Status, r.Cause = checks.Unknown, checks.CauseConfig
	}
}

func (e *Exec) evidence(ended checks.Ended, m metrics) []checks.Step {
	how := fmt.Sprintf("exit status %d", ended.Code)
	if ended.Signal != "" {
		how = "signal: " + ended.Signal
	}
	if ended.Stopped != checks.StopNone {
		how += ", stopped: " + string(ended.Stopped)
	}
	steps := []checks.Step{
		{Name: "start", OK: true, Detail: outbound.Sanitize(e.params.Argv[0], maxLine)},
		{Name: "end", OK: ended.Code == 0, Detail: fmt.Sprintf("%s after %s", how, ended.Took.Round(time.Millisecond))},
	}
	if ended.Left > 0 {
		steps = append(steps, checks.Step{Name: "left_behind", Detail: fmt.Sprintf("%d processes, which were killed", ended.Left)})
	}
	if ended.Cut {
		steps = append(steps, checks.Step{Name: "output", Detail: fmt.Sprintf("only its first %d bytes were read", len(ended.Stdout))})
	}
	if text, fine := m.describe(); text != "" {
		steps = append(steps, checks.Step{Name: "perfdata", OK: fine, Detail: text})
	}
	return append(steps, m.beyond...)
}

// describe says what became of the performance data; "" where there was none.
func (m *metrics) describe() (text string, fine bool) {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{
		{len(m.list), "values"},
		{m.unknown, "unknown"},
		{m.malformed, "malformed"},
		{m.repeated, "with a label that was there already"},
		{m.dropped, "beyond the bound"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", "), m.unknown+m.malformed+m.repeated+m.dropped == 0
}
