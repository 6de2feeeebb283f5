// Package checktest is the suite that every kind of check passes, built-in or not. It tests the promises of the checks
// package from outside: strict parameters, constructors that start nothing, runs that obey their deadline, results that
// every exporter can carry, and no key anywhere. It knows nothing about any kind.
package checktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
)

// Case is one way to run a check.
type Case struct {
	Params string     // the `with:` section
	Env    checks.Env // Log and Timeout are filled in where they are zero
	// Reached, for a target that never answers, is closed once the target has been reached; nil where nobody can say.
	Reached <-chan struct{}
}

// Options is what the suite needs to know about a kind. Each function makes a fresh target, which ends with its test.
type Options struct {
	// Good makes a target that does what is expected: the run is OK.
	Good func(t *testing.T) Case
	// Absent makes a target that is not there: the run is neither OK nor Degraded.
	Absent func(t *testing.T) Case
	// Hung makes a target that is reached and never answers: the run ends with its context.
	Hung func(t *testing.T) Case
	// Refused are parameters that Validate and New refuse, by what is wrong with them.
	Refused map[string]string
	// Key is the canary: the secret that Good, Absent and Hung use. It is found nowhere in what a run returns or logs.
	Key string
	// Alone says that the kind opens its connections itself, as those of plugins do: it works without the provider and the
	// network that the agent lends.
	Alone bool
	// Grace is how long after the end of its context a run may still take to return; 0 is 5 s.
	Grace time.Duration
}

// Run runs the suite against kind. It starts no test in parallel: it counts goroutines.
func Run(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	t.Run("the kind is documented", func(t *testing.T) { documented(t, kind) })
	t.Run("parameters are strict", func(t *testing.T) { strict(t, kind, o) })
	t.Run("building starts nothing", func(t *testing.T) { startsNothing(t, kind, o) })
	t.Run("a good target is OK, twice", func(t *testing.T) { good(t, kind, o) })
	t.Run("an absent target is not OK", func(t *testing.T) { absent(t, kind, o) })
	t.Run("a run ends with its deadline", func(t *testing.T) { deadline(t, kind, o) })
	t.Run("a run ends when it is cancelled", func(t *testing.T) { cancelled(t, kind, o) })
	t.Run("a run that is cancelled before it starts", func(t *testing.T) { stillborn(t, kind, o) })
}

func documented(t *testing.T, kind checks.Kind) {
	t.Helper()
	if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(kind.Name) {
		t.Errorf("name %q, want lower-case letters and digits", kind.Name)
	}
	if len(kind.Doc) < 40 || !strings.HasSuffix(strings.TrimSpace(kind.Doc), ".") {
		t.Errorf("doc %q, want a paragraph that ends in a full stop", kind.Doc)
	}
	if err := Documented(kind.Defaults); err != nil {
		t.Error(err)
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("defaults %T cannot be shown as JSON: %v", kind.Defaults, p)
		}
	}()
	if _, err := json.Marshal(kind.Defaults); err != nil {
		t.Errorf("defaults %T cannot be shown as JSON: %v", kind.Defaults, err)
	}
}

// Documented says which fields of a params struct, at any depth, lack a `yaml` tag or a `jsonschema_description`: the
// JSON Schema, the pages and the errors are made of them.
func Documented(params any) error {
	typ := reflect.TypeOf(params)
	if typ == nil {
		return errors.New("no params struct")
	}
	return documentedType(typ, typ.Name(), map[reflect.Type]bool{})
}

func documentedType(typ reflect.Type, path string, seen map[reflect.Type]bool) error {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[checks.Secret]() || typ == reflect.TypeFor[time.Time]() || seen[typ] {
		return nil
	}
	seen[typ] = true
	var errs []error
	for field := range typ.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		at := path + "." + field.Name
		inline := strings.Contains(options, "inline")
		switch {
		case !field.IsExported():
			errs = append(errs, fmt.Errorf("%s is not exported", at))
		case name == "-":
			continue
		case !inline && !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(name):
			errs = append(errs, fmt.Errorf("%s has yaml tag %q, want a snake_case name", at, name))
		case !inline && field.Tag.Get("jsonschema_description") == "":
			errs = append(errs, fmt.Errorf("%s has no jsonschema_description", at))
		}
		errs = append(errs, documentedType(field.Type, at, seen))
	}
	return errors.Join(errs...)
}

func strict(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	c := o.Good(t)
	env, _ := equip(c)
	if err := kind.Validate(Decoder(c.Params, o.Key)); err != nil {
		t.Errorf("good parameters were refused: %v", err)
	}
	refused := map[string]string{"an unknown key": strings.TrimRight(c.Params, "\n") + "\nno_such_key: 1\n"}
	if strings.HasPrefix(strings.TrimSpace(c.Params), "{") || strings.TrimSpace(c.Params) == "" {
		refused["an unknown key"] = "no_such_key: 1\n"
	}
	maps.Copy(refused, o.Refused)
	for what, params := range refused {
		if err := kind.Validate(Decoder(params, o.Key)); err == nil {
			t.Errorf("%s was not refused by Validate", what)
		}
		if check, err := kind.New(Decoder(params, o.Key), env); err == nil || check != nil {
			t.Errorf("%s was not refused by New", what)
		}
	}
}

func startsNothing(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	c := o.Good(t)
	env, logged := equip(c)
	touched := &trap{}
	env.Network, env.Memory, env.Ledger, env.History, env.Spawn = touched, touched, touched, touched, touched
	before := goleak.IgnoreCurrent()
	if _, err := kind.New(Decoder(c.Params, o.Key), env); err != nil {
		t.Fatalf("building: %v", err)
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("building started a goroutine: %v", err)
	}
	if len(touched.calls) > 0 {
		t.Errorf("building called %v, want no I/O", touched.calls)
	}
	noKey(t, o.Key, "the log of building", logged.String())
	if o.Alone {
		return
	}
	env.Network, env.Provider = nil, nil
	if check, err := kind.New(Decoder(c.Params, o.Key), env); err == nil {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r, err := check.Run(ctx); err == nil && r.Status.Reached() {
			t.Errorf("without provider and network the run is %s, want an error", r.Status)
		}
	}
	noKey(t, o.Key, "the log of building", logged.String())
}

func good(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	c := o.Good(t)
	check, env, logged := build(t, kind, c, o.Key)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), env.Timeout)
		defer cancel()
		r, err := check.Run(ctx)
		if err != nil || r.Status != checks.OK {
			t.Errorf("ran to %s %q (%s), %v, want ok", r.Status, r.Cause, r.Summary, err)
		}
		judge(t, o.Key, r, err, logged)
		paid(t, check, r)
		measuring(t, check, r)
	}
}

// measuring holds the promise of checks.Measuring: a run measures nothing that the check did not say. A rule on a metric
// that no check says that it measures is refused.
func measuring(t *testing.T, check checks.Check, r checks.Result) {
	t.Helper()
	m, ok := check.(checks.Measuring)
	if !ok {
		return
	}
	said := m.Measures()
	if !slices.IsSorted(said) {
		t.Errorf("Measures are %v, want them sorted", said)
	}
	for _, one := range r.Measurements {
		if !slices.Contains(said, one.Name) {
			t.Errorf("the run measured %s, and Measures does not say so", one.Name)
		}
	}
	if len(r.Phases) > 0 && !slices.Contains(said, "probe.http.duration") {
		t.Error("the run has phases, and Measures does not say probe.http.duration")
	}
}

// paid holds the promise of checks.Paid: no run costs more than what was reserved for it.
func paid(t *testing.T, check checks.Check, r checks.Result) {
	t.Helper()
	p, ok := check.(checks.Paid)
	if !ok {
		if r.Usage != nil && r.Usage.Cost > 0 {
			t.Errorf("the run cost %s, and the check does not implement checks.Paid", r.Usage.Cost)
		}
		return
	}
	most, _ := p.MaxCost(time.Now())
	if most < 0 || (r.Usage != nil && r.Usage.Cost > most) {
		t.Errorf("the run cost %s, and MaxCost is %s", r.Usage.Cost, most)
	}
}

func absent(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	c := o.Absent(t)
	check, env, logged := build(t, kind, c, o.Key)
	ctx, cancel := context.WithTimeout(t.Context(), env.Timeout)
	defer cancel()
	r, err := check.Run(ctx)
	if err == nil && (r.Status == checks.OK || r.Status == checks.Degraded || r.Status == checks.Skipped) {
		t.Errorf("ran to %s (%s), want neither ok, degraded nor skipped", r.Status, r.Summary)
	}
	judge(t, o.Key, r, err, logged)
	measuring(t, check, r)
}

func deadline(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	c := o.Hung(t)
	check, _, logged := build(t, kind, c, o.Key)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, err := finish(ctx, t, check, o.Grace)
	if err == nil && (r.Status == checks.OK || r.Status == checks.Skipped) {
		t.Errorf("ran to %s (%s) on a target that never answers", r.Status, r.Summary)
	}
	judge(t, o.Key, r, err, logged)
}

func cancelled(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	c := o.Hung(t)
	check, env, logged := build(t, kind, c, o.Key)
	ctx, cancel := context.WithTimeout(t.Context(), env.Timeout)
	defer cancel()
	if c.Reached == nil {
		cancel()
	} else {
		go func() {
			defer cancel()
			select {
			case <-c.Reached:
			case <-ctx.Done():
			}
		}()
	}
	r, err := finish(ctx, t, check, o.Grace)
	if err == nil && (r.Status == checks.OK || r.Status == checks.Failed) {
		t.Errorf("ran to %s %q (%s), want neither ok nor failed: the run was cut short by us", r.Status, r.Cause, r.Summary)
	}
	judge(t, o.Key, r, err, logged)
}

func stillborn(t *testing.T, kind checks.Kind, o Options) {
	t.Helper()
	check, _, logged := build(t, kind, o.Good(t), o.Key)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := finish(ctx, t, check, o.Grace)
	if err == nil && (r.Status == checks.OK || r.Status == checks.Failed) {
		t.Errorf("ran to %s %q (%s), want neither ok nor failed: nothing was tried", r.Status, r.Cause, r.Summary)
	}
	judge(t, o.Key, r, err, logged)
}

// finish runs check and fails the test when it has not returned grace after ctx ended.
func finish(ctx context.Context, t *testing.T, check checks.Check, grace time.Duration) (checks.Result, error) {
	t.Helper()
	if grace <= 0 {
		grace = 5 * time.Second
	}
	type outcome struct {
		result checks.Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := check.Run(ctx)
		done <- outcome{r, err}
	}()
	select {
	case got := <-done:
		return got.result, got.err
	case <-ctx.Done():
	}
	select {
	case got := <-done:
		return got.result, got.err
	case <-time.After(grace):
		t.Fatalf("the run did not return within %v of the end of its context", grace)
		return checks.Result{}, nil
	}
}

func build(t *testing.T, kind checks.Kind, c Case, key string) (checks.Check, checks.Env, *buffer) {
	t.Helper()
	env, logged := equip(c)
	check, err := kind.New(Decoder(c.Params, key), env)
	if err != nil {
		t.Fatalf("building: %v", err)
	}
	return check, env, logged
}

func equip(c Case) (checks.Env, *buffer) {
	env, logged := c.Env, &buffer{}
	if env.Log == nil {
		env.Log = slog.New(slog.NewJSONHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if env.Timeout == 0 {
		env.Timeout = 10 * time.Second
	}
	if env.Name == "" {
		env.Name = "suite"
	}
	return env, logged
}

// judge holds what every run promises, whatever happened to it.
func judge(t *testing.T, key string, r checks.Result, err error, logged *buffer) {
	t.Helper()
	noKey(t, key, "the log", logged.String())
	if err != nil {
		noKey(t, key, "the error", err.Error())
		return
	}
	if err := Valid(r); err != nil {
		t.Errorf("the result is not valid:\n%v", err)
	}
	text, err := json.Marshal(checks.OfReport(&checks.Report{Check: "suite", Kind: "suite", Result: r}))
	if err != nil {
		t.Errorf("the result has no JSON form: %v", err)
	}
	noKey(t, key, "the result", string(text)+fmt.Sprintf("%+v", r))
}

func noKey(t *testing.T, key, where, text string) {
	t.Helper()
	if form := Leak(text, key); form != "" {
		t.Errorf("%s holds the key (%s): %s", where, form, text)
	}
}
