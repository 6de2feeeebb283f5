package plugintest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// The bounds of a run of the suite.
const (
	atOnce     = 3               // cases that run at the same time
	caseLimit  = 2 * time.Minute // for one case
	goodLimit  = 5 * time.Second // for a good run, where the file gives none
	awayLimit  = time.Second     // for a run against a target that is away
	grace      = time.Second     // that a call may take beyond what it was given
	callLimit  = 10 * time.Second
	describeIn = time.Second
)

// need is what must be there for a case to be tried.
type need int

const (
	nothing   need = iota // it starts what it looks at itself
	aStart                // the plugin starts
	aManifest             // and says what it is
)

// testCase is one case of the suite.
type testCase struct {
	number      int
	group, name string
	recommended bool
	needs       need
	alone       bool // it measures: nothing else runs beside it
	try         func(ctx context.Context, a *attempt) error
}

// suite is one run of the suite.
type suite struct {
	o          Options
	identity   *identity
	targets    *targets
	canary     string
	root       string // of the folders that {{dir}} names
	described  *pluginv1.DescribeResponse
	manifest   manifest.Manifest
	kinds      []*kind
	notMet     error // why there is no manifest
	notStarted error // why it did not start
	started    bool
	offersTLS  bool

	mu   sync.Mutex // guards what follows
	dirs int
	ids  int
}

// kind is a kind that is tested.
type kind struct {
	manifest.Kind
	schema  *manifest.Schema
	config  KindConfig
	guessed bool // good parameters are not from the file
	away    bool // they are those of the target that refuses: enough for what is not about the verdict
}

// find looks for parameters where the file has none that are good.
func (k *kind) find() {
	if k.config.Good != nil {
		return
	}
	k.guessed = true
	if k.config.Good = guess(k.Kind, k.schema); k.config.Good == nil {
		k.config.Good, k.away = k.config.Unreachable, true
	}
}

func (k *kind) timeout() time.Duration {
	if k.config.Timeout > 0 {
		return time.Duration(k.config.Timeout)
	}
	return goodLimit
}

func newSuite(ctx context.Context, o Options) (*suite, error) {
	s := &suite{o: o, canary: "canary-" + strings.ToLower(rand.Text())}
	var err error
	if s.identity, err = newIdentity(); err != nil {
		return nil, err
	}
	if s.root, err = os.MkdirTemp("", "wpt-dir"); err != nil {
		return nil, fmt.Errorf("making a folder for {{dir}}: %w", err)
	}
	if s.targets, err = newTargets(ctx); err != nil {
		_ = os.RemoveAll(s.root)
		return nil, err
	}
	return s, nil
}

func (s *suite) close() {
	s.targets.close()
	_ = os.RemoveAll(s.root)
}

// meet starts the plugin once and asks what it is. What goes wrong is what cases 1 and 7 find.
func (s *suite) meet(ctx context.Context) {
	a := &attempt{suite: s}
	defer a.end()
	p, err := a.start(ctx)
	if err != nil {
		s.notStarted, s.notMet = err, errors.New("the plugin does not start: see case 1")
		return
	}
	s.started, s.offersTLS = true, p.line.cert != nil
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	s.described, err = p.base.Describe(ctx, describeRequest())
	if err != nil {
		s.notMet = errors.New("the plugin does not say what it is: see case 7")
		return
	}
	s.manifest, err = manifest.FromWire(s.described)
	if err != nil {
		s.notMet = errors.New("what the plugin says of itself cannot be used: see case 7")
		return
	}
	for _, one := range s.manifest.Kinds {
		schema, err := one.Compile()
		if err != nil {
			continue // FromWire found none
		}
		k := &kind{Kind: one, schema: schema, config: s.o.Config.Kinds[one.Name]}
		k.find()
		s.kinds = append(s.kinds, k)
	}
}

func describeRequest() *pluginv1.DescribeRequest {
	return &pluginv1.DescribeRequest{HostVersion: "0.0.0-conformance", Capabilities: &pluginv1.HostCapabilities{Memory: true, Refresh: true}}
}

// guess makes parameters of the defaults in the schema; nil where they are not valid.
func guess(k manifest.Kind, schema *manifest.Schema) json.RawMessage {
	var shape struct {
		Properties map[string]struct {
			Default json.RawMessage `json:"default"`
		} `json:"properties"`
	}
	if json.Unmarshal(k.Schema, &shape) != nil {
		return nil
	}
	params := map[string]json.RawMessage{}
	for name, property := range shape.Properties {
		if property.Default != nil {
			params[name] = property.Default
		}
	}
	for _, try := range []map[string]json.RawMessage{params, {}} {
		data, err := json.Marshal(try)
		if err == nil && len(schema.Validate(data)) == 0 {
			return data
		}
	}
	return nil
}

// missing says which parameters the file lacks, and names of kinds that the plugin has not.
func (s *suite) missing() []string {
	var out []string
	for _, k := range s.kinds {
		if words := k.missing(); len(words) > 0 {
			out = append(out, fmt.Sprintf("kinds.%s lacks %s", k.Name, strings.Join(words, ", ")))
		}
	}
	if s.notMet != nil {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(s.o.Config.Kinds)) {
		if _, known := s.manifest.Kind(name); !known {
			out = append(out, fmt.Sprintf("kinds.%s is no kind of the plugin, which has %s", name, strings.Join(s.manifest.Names(), ", ")))
		}
	}
	return out
}

func (k *kind) missing() []string {
	var words []string
	if k.config.Good == nil || k.away {
		words = append(words, "good")
	}
	if k.config.Unreachable == nil && !k.config.NoTarget {
		words = append(words, "unreachable")
	}
	if k.config.BlackHole == nil && !k.config.NoTarget && k.Type == manifest.Check {
		words = append(words, "black_hole")
	}
	return words
}

// run runs the cases, some at the same time, and returns them in their order.
func (s *suite) run(ctx context.Context, cases []testCase) []Case {
	out := make([]Case, len(cases))
	done := make([]chan struct{}, len(cases))
	for i := range done {
		done[i] = make(chan struct{})
	}
	var work sync.WaitGroup
	work.Go(func() {
		inTurn(cases, func(i int) {
			out[i] = s.tryOne(ctx, cases[i])
			close(done[i])
		})
	})
	for i := range cases {
		<-done[i]
		if s.o.Progress != nil && ctx.Err() == nil {
			s.o.Progress(out[i])
		}
	}
	work.Wait()
	return out
}

// inTurn does the cases, a few at the same time, and then those that must be alone.
func inTurn(cases []testCase, do func(i int)) {
	var beside errgroup.Group
	beside.SetLimit(atOnce)
	for i := range cases {
		if !cases[i].alone {
			beside.Go(func() error { do(i); return nil })
		}
	}
	_ = beside.Wait()
	for i := range cases {
		if cases[i].alone {
			do(i)
		}
	}
}

func (s *suite) tryOne(ctx context.Context, c testCase) Case {
	out := Case{Number: c.number, Group: c.group, Name: c.name, Required: !c.recommended}
	began := time.Now()
	defer func() {
		s.o.Log.DebugContext(ctx, "case done", "case", c.number, "outcome", out.Outcome, "took", out.Took)
	}()
	if c.needs >= aStart && !s.started || c.needs >= aManifest && s.notMet != nil {
		out.Outcome, out.Reasons = NotTried, []string{s.notMet.Error()}
		return out
	}
	a := &attempt{suite: s}
	err := a.bounded(ctx, c)
	a.end()
	out.Took, out.Notes = time.Since(began), a.notes
	out.Outcome, out.Reasons = sort(err)
	return out
}

// bounded tries a case for so long as one may take. What the end of the suite broke is no fault of the plugin.
func (a *attempt) bounded(ctx context.Context, c testCase) error {
	limited, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	var err error
	if ctx.Err() == nil {
		err = c.try(limited, a)
	}
	switch {
	case ctx.Err() != nil:
		return untried("the suite was ended")
	case err != nil && limited.Err() != nil:
		return fmt.Errorf("it took more than %s: %w", caseLimit, err)
	}
	return err
}

// left is a case, or a part of one, that was left out.
type left struct {
	outcome Outcome
	why     string
}

func (l *left) Error() string { return l.why }

// skip says that the plugin has nothing that the case is about.
func skip(format string, args ...any) error { return &left{Skipped, fmt.Sprintf(format, args...)} }

// untried says what is missing to try the case.
func untried(format string, args ...any) error { return &left{NotTried, fmt.Sprintf(format, args...)} }

// sort reads what a case returned: joined errors are reasons of their own. A fault outweighs what was not tried, and that
// what there was nothing to try of.
func sort(err error) (Outcome, []string) {
	reasons := map[Outcome][]string{}
	for _, one := range flat(err) {
		outcome := NotOK
		if l, ok := errors.AsType[*left](one); ok {
			outcome = l.outcome
		}
		if !slices.Contains(reasons[outcome], one.Error()) {
			reasons[outcome] = append(reasons[outcome], one.Error())
		}
	}
	for _, outcome := range []Outcome{NotOK, NotTried, Skipped} {
		if len(reasons[outcome]) > 0 {
			return outcome, reasons[outcome]
		}
	}
	return OK, nil
}

func flat(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() { // a sentence that wraps two is one
		return []error{err}
	}
	var out []error
	for _, one := range joined.Unwrap() {
		out = append(out, flat(one)...)
	}
	return out
}

// attempt is one case while it runs: what it started is ended with it.
type attempt struct {
	suite *suite
	procs []*process
	holes []*blackHole
	notes []string
	ends  []func() // what is to be undone, the last first
}

func (a *attempt) after(undo func()) { a.ends = append(a.ends, undo) }

func (a *attempt) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

func (a *attempt) end() {
	for _, p := range a.procs {
		p.end()
	}
	for _, h := range a.holes {
		h.close()
	}
	for _, undo := range slices.Backward(a.ends) {
		undo()
	}
}

// spawn starts a process that may do without a handshake.
func (a *attempt) spawn(ctx context.Context, o startOptions) (*process, error) {
	p, err := a.suite.spawn(ctx, o)
	if p != nil && p.cmd != nil && p.cmd.Process != nil {
		a.procs = append(a.procs, p)
	}
	return p, err
}

// start starts a process and connects to it.
func (a *attempt) start(ctx context.Context) (*process, error) {
	p, err := a.spawn(ctx, startOptions{})
	if err != nil {
		return nil, err
	}
	if err := a.suite.connect(ctx, p); err != nil {
		return nil, err
	}
	return p, nil
}

func (a *attempt) hole(ctx context.Context) (*blackHole, error) {
	h, err := newBlackHole(ctx)
	if err == nil {
		a.holes = append(a.holes, h)
	}
	return h, err
}

// params are parameters with the placeholders filled.
func (a *attempt) params(raw json.RawMessage, hole *blackHole) ([]byte, error) {
	s := a.suite
	out := bytes.ReplaceAll(raw, []byte("{{unreachable}}"), []byte(s.targets.unreachable()))
	out = bytes.ReplaceAll(out, []byte("{{http}}"), []byte(s.targets.webAddr))
	out = bytes.ReplaceAll(out, []byte("{{secret}}"), []byte(s.canary))
	if hole != nil {
		out = bytes.ReplaceAll(out, []byte("{{blackhole}}"), []byte(hole.addr()))
	}
	if !bytes.Contains(out, []byte("{{dir}}")) {
		return out, nil
	}
	s.mu.Lock()
	s.dirs++
	dir := fmt.Sprintf("%s/%d", s.root, s.dirs)
	s.mu.Unlock()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder for {{dir}}: %w", err)
	}
	return bytes.ReplaceAll(out, []byte("{{dir}}"), []byte(dir)), nil
}

// id names an instance, a run or a batch.
func (s *suite) id(what string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	return fmt.Sprintf("%s-%d", what, s.ids)
}

// secrets are the values of the secrets that parameters refer to, and a canary that nothing refers to.
func (s *suite) secrets(params []byte) map[string][]byte {
	out := map[string][]byte{}
	for _, name := range secretNames(params) {
		value, given := s.o.Config.Secrets[name]
		if !given {
			value = s.canary
		}
		out[name] = []byte(strings.ReplaceAll(value, "{{secret}}", s.canary))
	}
	return out
}

// said is what an error of a call says, on one line.
func said(err error) error {
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	return fmt.Errorf("%s: %s", st.Code(), clip(strings.Join(strings.Fields(st.Message()), " ")))
}
