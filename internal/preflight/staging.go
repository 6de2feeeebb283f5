package preflight

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

const (
	again    = 100 * time.Millisecond // between two looks at what is awaited
	question = "Reply with the single word: pong"
)

func stagingItems() []string {
	return []string{itemRefused, itemLimited, itemServer, itemTimeout, itemFallbackUsed, itemSilent}
}

// stage is a staging application and the simulator that it asks.
type stage struct {
	r    *run
	s    *config.Staging
	sim  *simulator.Server
	rec  *recorder
	base string // of the simulator

	header http.Header
	body   []byte

	rescued []string // faults that users did not notice, and how
	errors  int      // answers that were errors
	leaks   []string // what they showed
}

// staging lets the provider misbehave for a staging application, and looks at what it does.
func (r *run) staging(ctx context.Context) {
	if r.noConfig(stagingItems()...) {
		return
	}
	block := func(f finding) {
		for _, id := range stagingItems() {
			r.set(id, f)
		}
	}
	s := &r.cfg.Preflight.Staging
	switch {
	case s.AppURL == "":
		block(blocked("add preflight.staging.app_url, its chat route", "nobody says where the staging application is"))
		return
	case s.SimulatorListen == "" && s.Command == nil:
		block(blocked("add preflight.staging.simulator_listen and point the application at it, or preflight.staging.command, which starts it", "the staging application cannot be pointed at a simulator"))
		return
	}
	st := &stage{r: r, s: s, sim: simulator.New(simulator.Options{Seed: 1, Log: slog.New(slog.DiscardHandler)})}
	st.rec = &recorder{next: st.sim.Handler(), scrubber: r.o.Scrubber}
	if problem := st.dress(ctx); problem != nil {
		block(*problem)
		return
	}
	end, problem := st.open(ctx)
	if problem == nil {
		defer end()
		problem = st.begin(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	if problem != nil {
		block(*problem)
		return
	}
	st.faults(ctx)
}

// dress makes the question.
func (st *stage) dress(ctx context.Context) *finding {
	asked := st.s.Body
	if len(asked) == 0 {
		asked = map[string]any{"message": question}
	}
	body, err := json.Marshal(asked)
	if err != nil {
		f := blocked("mend preflight.staging.body", "it cannot be written as JSON")
		return &f
	}
	st.body = body
	st.header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	for name, value := range st.s.Headers {
		st.header.Set(name, value)
	}
	if err := authorized(ctx, st.header, st.s.Bearer, nil); err != nil {
		f := blocked("make preflight.staging.bearer readable for who runs this", "the token cannot be read: %v", err)
		return &f
	}
	return nil
}

// open serves the simulator, and starts the application where it is to be started. end ends both.
func (st *stage) open(ctx context.Context) (end func(), problem *finding) {
	address := st.s.SimulatorListen
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		f := blocked("take another preflight.staging.simulator_listen", "the simulator cannot be served: %v", err)
		return nil, &f
	}
	st.base = "http://" + listener.Addr().String()
	server := &http.Server{Handler: st.rec, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	stop := func() {
		_ = server.Close()
		<-served
	}
	if st.s.Command == nil {
		return stop, nil
	}
	kill, problem := st.start(ctx)
	if problem != nil {
		stop()
		return nil, problem
	}
	return func() {
		kill()
		stop()
	}, nil
}

// start starts the application and waits until somebody listens at its address.
func (st *stage) start(ctx context.Context) (kill func(), problem *finding) {
	refuse := func(todo, format string, args ...any) (func(), *finding) {
		f := blocked(todo, format, args...)
		return nil, &f
	}
	folder, problem := st.r.folder()
	if problem != nil {
		return nil, problem
	}
	path, err := st.r.program(folder, st.s.Command[0])
	if err != nil {
		return refuse("install it, or give its path in preflight.staging.command", "%q cannot be run: %v", st.s.Command[0], err)
	}
	address, err := st.s.Address()
	if err != nil {
		return refuse("mend preflight.staging.app_url", "%v", err)
	}
	if listens(ctx, address) {
		return refuse("end it, or leave out preflight.staging.command", "something listens on %s before the application was started", address)
	}
	mark := "WINDSOCK_PREFLIGHT=" + rand.Text()
	running, cancel := context.WithCancel(ctx)
	ended := make(chan process.End, 1)
	go func() {
		end, err := process.Run(running, process.Command{
			Path: path, Argv: st.s.Command, Dir: folder, Env: append(st.variables(), mark), Mark: mark, Grace: time.Second,
		})
		if err != nil {
			end.Code = -1
		}
		ended <- end
	}()
	kill = func() {
		cancel()
		<-ended
	}
	for deadline := time.Now().Add(st.s.StartWithin); ; {
		select {
		case end := <-ended:
			cancel()
			return refuse("start it by hand: cd "+typed([]string{folder})+" && "+typed(st.s.Command), "the application ended before it listened on %s: exit code %d", address, end.Code)
		case <-ctx.Done():
			kill()
			return refuse("", "it was interrupted")
		case <-time.After(again):
		}
		switch {
		case listens(ctx, address):
			return kill, nil
		case time.Now().After(deadline):
			kill()
			return refuse("raise preflight.staging.start_within, or mend app_url", "nobody listened on %s within %s", address, st.s.StartWithin)
		}
	}
}

// variables are what the application finds in its environment: the simulator's address, and two keys that are nobody's.
func (st *stage) variables() []string {
	names := st.s.Variables
	all := append(st.r.environment(st.s.Env), names.BaseURL+"="+st.base)
	for _, name := range []string{names.APIKey, names.FallbackAPIKey} {
		key := "windsock-staging-" + rand.Text()
		st.r.o.Scrubber.Add(key)
		all = append(all, name+"="+key)
	}
	return all
}

func listens(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// begin asks while the provider is well: only an application that asks the simulator can be judged by it.
func (st *stage) begin(ctx context.Context) *finding {
	seen := st.put(ctx, 0)
	var f finding
	switch {
	case len(seen.requests) == 0 && seen.answer.status == 0:
		f = blocked("start the staging application, or mend preflight.staging.app_url", "the staging application did not answer: %s", seen.answer.problem())
	case len(seen.requests) == 0:
		f = blocked("set the base URL of the staging application to "+st.base, "the staging application answered %d and did not ask the simulator", seen.answer.status)
	case seen.answer.failure != nil:
		f = blocked("see why by its log", "with a provider that is well the staging application gave no answer: %s", seen.answer.problem())
	case seen.answer.status/100 != 2:
		f = blocked("mend preflight.staging.body, or the base URL of the application, which stands without /v1", "with a provider that is well the staging application answered %d", seen.answer.status)
		for _, q := range seen.requests[:min(len(seen.requests), 3)] {
			f = f.with(fmt.Sprintf("it asked for %s and got %d", q.path, q.status))
		}
	default:
		return nil
	}
	return &f
}

// faults plays one fault after the other. A refused key comes last: an application may remember it.
func (st *stage) faults(ctx context.Context) {
	all := []struct {
		id    string
		fault simulator.Fault
		judge func(observed) finding
	}{
		{itemServer, simulator.Fault{Status: http.StatusInternalServerError}, st.judgeServer},
		{itemLimited, simulator.Fault{Error: "rate_limited", RetryAfter: st.s.RetryAfter.String()}, st.judgeLimited},
		{itemTimeout, simulator.Fault{Latency: 10 * st.s.AnswerWithin}, st.judgeTimeout},
		{itemRefused, simulator.Fault{KeyRevoked: true, Key: st.rec.key()}, st.judgeRefused},
	}
	reached := 0
	for i, f := range all {
		if i > 0 && !st.recover(ctx) {
			if ctx.Err() != nil {
				return
			}
			for _, left := range all[i:] {
				st.r.set(left.id, blocked("see its log, and run this again", "the application did not become well again within %s after the fault before", st.s.StartWithin))
			}
			break
		}
		if err := st.sim.Apply(f.fault); err != nil {
			st.r.set(f.id, blocked("", "the simulator cannot do that: %v", err))
			continue
		}
		seen := st.put(ctx, st.s.Watch)
		if ctx.Err() != nil {
			return
		}
		reached++
		st.learn(f.id, &seen)
		st.r.set(f.id, f.judge(seen))
	}
	st.sum(reached)
}

// observed is what came of one question.
type observed struct {
	requests []asked
	answer   answer
	storm    bool // it was cut short: there were far too many requests
}

// put asks the application once, and counts what it asks meanwhile and for a while after.
func (st *stage) put(ctx context.Context, watch time.Duration) observed {
	first := st.rec.count()
	most := 4*st.s.MaxRequests + 8
	bounded, cancel := context.WithTimeout(ctx, st.s.AnswerWithin+again)
	defer cancel()
	answered := make(chan answer, 1)
	go func() {
		answered <- st.r.ask(bounded, request{method: http.MethodPost, url: st.s.AppURL, header: st.header.Clone(), body: st.body})
	}()
	var o observed
	var until time.Time
	for tick := time.NewTicker(again / 4); ; {
		select {
		case o.answer = <-answered:
			answered, until = nil, time.Now().Add(watch)
		case <-tick.C:
		}
		if st.rec.count()-first > most && !o.storm {
			o.storm = true
			cancel()
		}
		if answered == nil && (o.storm || ctx.Err() != nil || !time.Now().Before(until)) {
			tick.Stop()
			o.requests = st.rec.since(first)
			return o
		}
	}
}

// recover waits until the application is well again: a breaker of its own may be open.
func (st *stage) recover(ctx context.Context) bool {
	st.sim.Clear()
	for deadline := time.Now().Add(st.s.StartWithin); ctx.Err() == nil; {
		seen := st.put(ctx, 0)
		well := slices.ContainsFunc(seen.requests, func(q asked) bool { return q.status == http.StatusOK })
		if well && seen.answer.status/100 == 2 {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return false
}

// learn notes what an answer says beside the verdict of its fault.
func (st *stage) learn(id string, o *observed) {
	if o.answer.status == 0 {
		return
	}
	text := o.answer.text() // users read an answer with 200, too
	switch what := app.Shows(text); {
	case st.rec.shown(text):
		st.leaks = append(st.leaks, fmt.Sprintf("%s: %d with the key that it sent to the provider", id, o.answer.status))
	case what != "":
		st.leaks = append(st.leaks, fmt.Sprintf("%s: %d with %s", id, o.answer.status, what))
	}
	if o.answer.failure == nil && o.answer.status/100 == 2 && len(o.requests) > 0 && !o.answer.excuse() {
		how := "an answer of its own"
		if slices.ContainsFunc(o.requests, func(q asked) bool { return q.key > 0 && q.status == http.StatusOK }) {
			how = "its second key"
		}
		st.rescued = append(st.rescued, fmt.Sprintf("%s: %d by %s", id, o.answer.status, how))
		return
	}
	st.errors++
}

// sum judges what only all faults together show.
func (st *stage) sum(reached int) {
	switch {
	case len(st.rescued) > 0:
		st.r.set(itemFallbackUsed, pass("users got an answer in %d of %d faults", len(st.rescued), reached).with(st.rescued...))
	case reached < 4:
		st.r.set(itemFallbackUsed, blocked("run it again", "only %d of 4 faults were tried", reached))
	default:
		st.r.set(itemFallbackUsed, fail("use a second key, or give an answer without the model", "users got an answer in none of %d faults", reached))
	}
	switch {
	case len(st.leaks) > 0:
		st.r.set(itemSilent, fail("answer errors with a word and a request id, and log the rest", "%s", strings.Join(st.leaks, "; ")))
	case reached < 4:
		st.r.set(itemSilent, blocked("run it again", "only %d of 4 faults were tried", reached))
	case st.errors == 0 && len(st.rescued) == 0:
		st.r.set(itemSilent, blocked("have it answer its users", "users got no answer in any of %d faults: nothing shows what an error would say", reached))
	case st.errors == 0:
		st.r.set(itemSilent, pass("users saw no error in any of %d faults", reached))
	default:
		st.r.set(itemSilent, pass("%s that users saw, and neither is shown", many(st.errors, "error")))
	}
}
