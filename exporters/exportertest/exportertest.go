// Package exportertest is the suite that every kind of exporter passes, built-in or not. It tests the promises of the
// exporters package from outside: one attempt per call, an outcome for every record, totals that are a function of the
// cursor, the right class for every fault, and no key anywhere. It knows nothing about any kind.
package exportertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
)

// Grace is how long after its deadline Export may still take to return.
const Grace = 2 * time.Second

// Case is one way to build an exporter.
type Case struct {
	With string        // the `with:` section
	Env  exporters.Env // Log, Name, Version, Instance and Stdout are filled in where they are zero
}

// Options is what the suite needs to know about a kind.
type Options struct {
	Kind exporters.Kind
	// Backend makes a backend that behaves as fault says, which ends with the test, and the way to an exporter that sends
	// to it; ok is false where this kind of backend cannot behave so. Works is always possible.
	Backend func(t *testing.T, fault Fault) (c Case, ok bool)
	// Classes overrides Faults, where the protocol has another word for a fault.
	Classes map[Fault]Class
	// Refused are parameters that Validate and New refuse, by what is wrong with them.
	Refused map[string]string
	// Key is the canary: the value of every secret. It is found in no error, no log, no state, and on no page.
	Key string
	// Page is the path of the kind's documentation, which names every parameter; "" is not tested.
	Page string
}

// Run runs the suite. It starts no test in parallel: it counts goroutines.
func Run(t *testing.T, o Options) {
	t.Helper()
	t.Run("the kind is documented", func(t *testing.T) { documented(t, o) })
	t.Run("parameters are strict", func(t *testing.T) { strict(t, o) })
	t.Run("building starts nothing", func(t *testing.T) { startsNothing(t, o) })
	t.Run("an empty batch is accepted", func(t *testing.T) { empty(t, o) })
	t.Run("batches are accepted and left as they were", func(t *testing.T) { accepts(t, o) })
	t.Run("the same batch from the same state gives the same state", func(t *testing.T) { idempotent(t, o) })
	t.Run("broken state is no reason to stop", func(t *testing.T) { brokenState(t, o) })
	t.Run("hostile records spoil nothing", func(t *testing.T) { hostile(t, o) })
	t.Run("a cancelled attempt ends at once", func(t *testing.T) { cancelled(t, o) })
	t.Run("nothing is left running", func(t *testing.T) { leavesNothing(t, o) })
	for _, fault := range slices.Sorted(maps.Keys(Faults())) {
		t.Run("the backend "+string(fault), func(t *testing.T) { faulty(t, o, fault) })
	}
}

// Decoder reads the `with:` section from text as strictly as the agent does; an empty text leaves the defaults. Every
// field of type checks.Secret becomes a secret whose value is key.
func Decoder(text, key string) checks.Decoder {
	if strings.TrimSpace(text) == "" {
		return absentSection{}
	}
	return checktest.Decoder(text, key)
}

type absentSection struct{}

func (absentSection) Decode(any) error { return nil }

// subject is an exporter under test.
type subject struct {
	exporters.Exporter
	o   Options
	log *buffer
}

func open(t *testing.T, o Options, c Case) *subject {
	t.Helper()
	env, log := equip(c)
	e, err := o.Kind.New(Decoder(c.With, o.Key), env)
	if err != nil {
		t.Fatalf("building: %v", err)
	}
	s := &subject{e, o, log}
	t.Cleanup(func() { s.close(t) })
	return s
}

func equip(c Case) (exporters.Env, *buffer) {
	env, log := c.Env, &buffer{}
	if env.Log == nil {
		env.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if env.Stdout == nil {
		env.Stdout = &buffer{}
	}
	env.Name = firstOf(env.Name, "suite")
	env.Version = firstOf(env.Version, "1.2.3")
	env.Instance = firstOf(env.Instance, "0b9d7e1c-suite")
	return env, log
}

func firstOf(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func (s *subject) close(t *testing.T) {
	t.Helper()
	if c, ok := s.Exporter.(io.Closer); ok {
		if err := c.Close(); err != nil {
			s.noKey(t, "the error of Close", err.Error())
		}
	}
	s.noKey(t, "the log", s.log.String())
}

func (s *subject) noKey(t *testing.T, where, text string) {
	t.Helper()
	if form := checktest.Leak(text, s.o.Key); form != "" {
		t.Errorf("%s holds the key (%s)", where, form)
	}
}

// send makes one attempt within a bound, and holds what every attempt promises.
func (s *subject) send(t *testing.T, batch []checks.Record) (exporters.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return s.attempt(ctx, t, batch)
}

func (s *subject) attempt(ctx context.Context, t *testing.T, batch []checks.Record) (exporters.Outcome, error) {
	t.Helper()
	type answer struct {
		outcome exporters.Outcome
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		outcome, err := s.Export(ctx, batch)
		done <- answer{outcome, err}
	}()
	var got answer
	select {
	case got = <-done:
	case <-ctx.Done():
		select {
		case got = <-done:
		case <-time.After(Grace):
			t.Fatalf("Export did not return within %s of its deadline", Grace)
		}
	}
	if got.err != nil {
		s.noKey(t, "the error", fmt.Sprintf("%v %+v", got.err, got.err))
		return got.outcome, got.err
	}
	s.noKey(t, "the state", string(got.outcome.State))
	seen := map[int]bool{}
	for _, r := range got.outcome.Rejected {
		if r.Index < 0 || r.Index >= len(batch) || seen[r.Index] || r.Reason == "" || !utf8.ValidString(r.Reason) {
			t.Errorf("rejection %+v of a batch of %d, want an index once, with a reason", r, len(batch))
		}
		seen[r.Index] = true
		s.noKey(t, "a rejection", r.Reason)
	}
	return got.outcome, got.err
}

// accepted sends a batch that must be taken whole, and returns the state.
func (s *subject) accepted(t *testing.T, batch []checks.Record) []byte {
	t.Helper()
	outcome, err := s.send(t, batch)
	if err != nil || len(outcome.Rejected) > 0 {
		t.Fatalf("sending %d records: %v, rejected %v, want all accepted", len(batch), err, outcome.Rejected)
	}
	return outcome.State
}

func works(t *testing.T, o Options) Case {
	t.Helper()
	c, ok := o.Backend(t, Works)
	if !ok {
		t.Fatal("Options.Backend cannot make a backend that works")
	}
	return c
}

// recent are records of the last minutes: some backends refuse what is old.
func recent(n int, seed uint64) []checks.Record {
	return RecordsFrom(time.Now().Add(-5*time.Minute).UTC().Truncate(time.Second), n, seed)
}

func documented(t *testing.T, o Options) {
	t.Helper()
	if name := o.Kind.Name; name == "" || strings.ToLower(name) != name || strings.ContainsAny(name, " /") {
		t.Errorf("name %q, want lower-case letters", name)
	}
	if doc := strings.TrimSpace(o.Kind.Doc); len(doc) < 40 || !strings.HasSuffix(doc, ".") {
		t.Errorf("doc %q, want a paragraph that ends in a full stop", doc)
	}
	if err := checktest.Documented(o.Kind.Defaults); err != nil {
		t.Error(err)
	}
	if o.Page == "" {
		return
	}
	page, err := os.ReadFile(o.Page)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), o.Kind.Doc) {
		t.Errorf("%s does not hold the kind's doc: %q", o.Page, o.Kind.Doc)
	}
	documentedRows(t, o.Page, string(page), reflect.TypeOf(o.Kind.Defaults))
}

func documentedRows(t *testing.T, path, page string, params reflect.Type) {
	t.Helper()
	for field := range params.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if options == "inline" {
			documentedRows(t, path, page, field.Type)
			continue
		}
		if row := "| `" + name + "` |"; !strings.Contains(page, row) {
			t.Errorf("%s has no row that begins with %q", path, row)
		}
		if doc := field.Tag.Get("jsonschema_description"); !strings.Contains(page, doc) {
			t.Errorf("%s does not say of %s: %q", path, name, doc)
		}
	}
}

func strict(t *testing.T, o Options) {
	t.Helper()
	c := works(t, o)
	if err := o.Kind.Validate(Decoder(c.With, o.Key)); err != nil {
		t.Errorf("good parameters were refused: %v", err)
	}
	refused := map[string]string{"an unknown key": "no_such_key: 1\n"}
	maps.Copy(refused, o.Refused)
	for what, with := range refused {
		if err := o.Kind.Validate(Decoder(with, o.Key)); err == nil {
			t.Errorf("%s was not refused by Validate", what)
		}
		env, _ := equip(c)
		if e, err := o.Kind.New(Decoder(with, o.Key), env); err == nil || e != nil {
			t.Errorf("%s was not refused by New", what)
		}
	}
}

func startsNothing(t *testing.T, o Options) {
	t.Helper()
	c := works(t, o)
	out := &buffer{}
	env, log := equip(c)
	if c.Env.Stdout == nil {
		env.Stdout = out
	}
	before := goleak.IgnoreCurrent()
	if _, err := o.Kind.New(Decoder(c.With, o.Key), env); err != nil {
		t.Fatalf("building: %v", err)
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("building started a goroutine: %v", err)
	}
	if out.String() != "" {
		t.Errorf("building wrote %q", out.String())
	}
	if form := checktest.Leak(log.String(), o.Key); form != "" {
		t.Errorf("the log of building holds the key (%s)", form)
	}
}

func empty(t *testing.T, o Options) {
	t.Helper()
	s := open(t, o, works(t, o))
	s.accepted(t, nil)
	before := s.accepted(t, recent(3, 1))
	if after := s.accepted(t, []checks.Record{}); after != nil && !bytes.Equal(before, after) {
		t.Error("an empty batch changed the state")
	}
}

func accepts(t *testing.T, o Options) {
	t.Helper()
	s := open(t, o, works(t, o))
	start := time.Now().Add(-5 * time.Minute).UTC().Truncate(time.Second)
	for _, n := range []int{1, 40, 200} {
		batch, twin := RecordsFrom(start, n, uint64(n)), RecordsFrom(start, n, uint64(n))
		s.accepted(t, batch)
		if diff := cmp.Diff(twin, batch, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("Export changed its batch (-before +after):\n%s", diff)
		}
	}
	s.page(t)
}

// page reads what an exporter with a Handler serves.
func (s *subject) page(t *testing.T) {
	t.Helper()
	h, ok := s.Exporter.(exporters.Handler)
	if !ok {
		return
	}
	pattern, handler := h.Handler()
	if !strings.HasPrefix(pattern, "/") {
		t.Fatalf("serves %q, want a path", pattern)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, pattern, http.NoBody))
	if answer.Code != http.StatusOK || !utf8.Valid(answer.Body.Bytes()) {
		t.Errorf("%s answers %d, valid UTF-8 is %v", pattern, answer.Code, utf8.Valid(answer.Body.Bytes()))
	}
	s.noKey(t, pattern, answer.Body.String())
}

func idempotent(t *testing.T, o Options) {
	t.Helper()
	first, second, third := recent(60, 1), recent(60, 2), recent(60, 3)
	c := works(t, o)
	one := open(t, o, c)
	c.Env.State = one.accepted(t, first)
	want := one.accepted(t, second)
	if again := one.accepted(t, second); !bytes.Equal(again, want) {
		t.Error("the same batch again, because its commit failed, gave another state")
	}
	longer := one.accepted(t, slices.Concat(second, third))
	if got := open(t, o, c).accepted(t, second); !bytes.Equal(got, want) {
		t.Error("a new exporter with the same state and the same batch gave another state")
	}
	c.Env.State = want
	if got := open(t, o, c).accepted(t, third); !bytes.Equal(got, longer) {
		t.Error("the batch again with more behind it gave another state than one batch after the other")
	}
}

func brokenState(t *testing.T, o Options) {
	t.Helper()
	for _, state := range []string{"x", "\xff\x00garbage that nobody wrote", strings.Repeat("W", 4096)} {
		c := works(t, o)
		c.Env.State = []byte(state)
		s := open(t, o, c)
		s.accepted(t, recent(5, 1))
		s.accepted(t, recent(5, 2))
	}
}

func hostile(t *testing.T, o Options) {
	t.Helper()
	at := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	records := Hostile(at)
	s := open(t, o, works(t, o))
	batch := recent(10, 1)
	good := len(batch)
	for _, what := range slices.Sorted(maps.Keys(records)) {
		if _, err := s.send(t, []checks.Record{records[what]}); err != nil && ClassOf(err) != Poison {
			t.Errorf("%s: %v (%s), want it accepted, rejected or Poison", what, err, ClassOf(err))
		}
		batch = append(batch, records[what])
	}
	outcome, err := s.send(t, batch)
	if err != nil {
		t.Errorf("a batch with all of them: %v, want an outcome for every record", err)
	}
	for _, r := range outcome.Rejected {
		if r.Index < good {
			t.Errorf("record %d was rejected (%s), and nothing is wrong with it", r.Index, r.Reason)
		}
	}
	s.page(t)
}

func cancelled(t *testing.T, o Options) {
	t.Helper()
	s := open(t, o, works(t, o))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.attempt(ctx, t, recent(5, 1)); err != nil && ClassOf(err) != Retry {
		t.Errorf("%v (%s), want it accepted or Retry", err, ClassOf(err))
	}
	s.accepted(t, recent(5, 1))
}

func leavesNothing(t *testing.T, o Options) {
	t.Helper()
	c := works(t, o)
	env, _ := equip(c)
	before := goleak.IgnoreCurrent()
	e, err := o.Kind.New(Decoder(c.With, o.Key), env)
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{Exporter: e, o: o, log: &buffer{}}
	s.accepted(t, recent(5, 1))
	if closer, ok := e.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	// What is left belongs to the backend, whose end of a connection may take a moment to see that ours is closed.
	if err := goleak.Find(before, goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead")); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func faulty(t *testing.T, o Options, fault Fault) {
	t.Helper()
	c, ok := o.Backend(t, fault)
	if !ok {
		return
	}
	want := Faults()[fault]
	if other, ok := o.Classes[fault]; ok {
		want = other
	}
	s := open(t, o, c)
	limit := 10 * time.Second
	if fault == Hangs {
		limit = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	batch := s.wanted()
	outcome, err := s.attempt(ctx, t, batch)
	got := ClassOf(err)
	if want == Poison && err == nil && len(outcome.Rejected) == len(batch) {
		got = Poison
	}
	if got != want {
		t.Errorf("%v: %s, want %s", err, got, want)
	}
	if after := exporters.RetryAfter(err); fault == TooMany && want == Retry && after != RetryAfter*time.Second {
		t.Errorf("%v: again after %s, want the %d s that the backend wished for", err, after, RetryAfter)
	}
	if fault == TooLarge && want == Split {
		if outcome, err := s.send(t, batch[:1]); ClassOf(err) != Poison && (err != nil || len(outcome.Rejected) != 1) {
			t.Errorf("a single record that is too large: %v (%s), want Poison or a rejection", err, ClassOf(err))
		}
	}
}

// wanted are eight records that the exporter has a use for.
func (s *subject) wanted() []checks.Record {
	if e, ok := s.Exporter.(exporters.Selective); ok && !e.Wants(checks.TypeReport) && e.Wants(checks.TypeAlert) {
		return Alerts(time.Now().Add(-time.Minute).UTC().Truncate(time.Second), 8, false)
	}
	return recent(8, 1)
}

// buffer is a bytes.Buffer that an exporter may share with the test.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
