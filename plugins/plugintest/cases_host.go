package plugintest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

func toleratesFuture(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	request := describeRequest()
	grease(request)
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if _, err := p.base.Describe(call, request); err != nil {
		return fmt.Errorf("calling Describe with unknown fields: %w", said(err))
	}
	if err := a.every(func(k *kind) error { return a.tolerates(ctx, p.clients, k) }); err != nil {
		return err
	}
	drain := &pluginv1.DrainRequest{}
	grease(drain)
	if _, err := p.base.Drain(call, drain); err != nil {
		return fmt.Errorf("calling Drain with unknown fields: %w", said(err))
	}
	return nil
}

func (a *attempt) tolerates(ctx context.Context, c clients, k *kind) error {
	params, err := a.goodParams(k)
	if err != nil {
		return err
	}
	r := a.request(k, params, k.timeout())
	grease(r)
	i, err := a.configure(ctx, c, k, r)
	if err != nil {
		return fmt.Errorf("with unknown fields: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout()+grace)
	defer cancel()
	if k.Type == manifest.Exporter {
		request := &pluginv1.ExportRequest{InstanceId: i.id, BatchId: a.suite.id("batch"), Records: a.suite.fromTheFuture(k)}
		grease(request)
		answer, err := c.export.Export(ctx, request)
		if err != nil {
			return fmt.Errorf("kind %q: Export with unknown fields and words: %w", k.Name, said(err))
		}
		return wellExported(k, answer)
	}
	request := &pluginv1.RunRequest{InstanceId: i.id, RunId: a.suite.id("run"), Timeout: durationpb.New(k.timeout())}
	grease(request)
	answer, err := c.check.Run(ctx, request)
	if err != nil {
		return fmt.Errorf("kind %q: Run with unknown fields: %w", k.Name, said(err))
	}
	return wellRun(k, answer)
}

// watch is what is searched for secrets: texts by where they were found.
type watch struct {
	texts map[string][]byte
}

func (w *watch) add(where string, text []byte) {
	w.texts[where] = append(append(w.texts[where], text...), '\n')
}

func (w *watch) addMessage(where string, m proto.Message) {
	data, err := proto.Marshal(m) // texts stand in it as they are
	if err == nil {
		w.add(where, data)
	}
}

func keepsSecrets(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	w := &watch{texts: map[string][]byte{}}
	values := map[string]bool{a.suite.canary: true}
	var errs []error
	for _, k := range a.suite.kinds {
		errs = append(errs, a.exposeSecrets(ctx, p.clients, k, w, values))
	}
	d, err := describe(ctx, p.clients)
	if err != nil {
		return err
	}
	w.addMessage("the answer of Describe", d)
	for what, text := range exposed(p.pid) {
		w.add(what, text)
	}
	_ = shutdown(ctx, p.conn)
	_ = p.ended(stopLimit)
	p.settle()
	w.add("its standard error", p.stderr.bytes())
	w.add("its standard output", append(p.stdout.bytes(), p.stdio.bytes()...))
	for _, where := range slices.Sorted(maps.Keys(w.texts)) {
		if form := leaked(w.texts[where], values); form != "" {
			errs = append(errs, fmt.Errorf("a secret that was configured is in %s, %s", where, form))
		}
	}
	return errors.Join(errs...)
}

// exposeSecrets uses a kind in all the ways that there are parameters for, and keeps all that it says.
func (a *attempt) exposeSecrets(ctx context.Context, c clients, k *kind, w *watch, values map[string]bool) error {
	hole, err := a.hole(ctx)
	if err != nil {
		return err
	}
	refers := false
	for _, raw := range []json.RawMessage{k.config.Good, k.config.Unreachable, k.config.BlackHole} {
		if raw == nil {
			continue
		}
		params, err := a.params(raw, hole)
		if err != nil {
			return err
		}
		refers = refers || len(secretNames(params)) > 0
		for _, r := range a.withAndWithoutMistakes(k, params) {
			for _, value := range r.GetSecrets() {
				values[string(value)] = true
			}
			a.listen(ctx, c, k, r, w)
		}
	}
	if !refers && bytes.Contains(k.Schema, []byte(`"secret"`)) {
		return untried("kind %q takes a secret, and none of its parameters in the file of --config refers to one: {\"secret\": NAME}", k.Name)
	}
	return nil
}

// withAndWithoutMistakes asks for instances with these parameters, and with each thing wrong. Every request has a canary,
// also under a name that nothing refers to.
func (a *attempt) withAndWithoutMistakes(k *kind, params []byte) []*pluginv1.ConfigureRequest {
	out := []*pluginv1.ConfigureRequest{a.request(k, params, awayLimit)}
	for _, m := range mistakes(k, params) {
		out = append(out, a.request(k, m.config, awayLimit))
	}
	for _, r := range out {
		r.Secrets["windsock_canary"] = []byte(a.suite.canary)
	}
	return out
}

func (a *attempt) listen(ctx context.Context, c clients, k *kind, r *pluginv1.ConfigureRequest, w *watch) {
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	answer, err := c.base.Configure(call, r)
	if err != nil {
		w.add("an error of Configure", []byte(err.Error()))
		return
	}
	w.addMessage("a diagnostic", answer)
	if slices.ContainsFunc(answer.GetDiagnostics(), isError) {
		return
	}
	i := &instance{c, k, r.GetInstanceId()}
	if k.Type == manifest.Exporter {
		answer, err := i.send(ctx, a.suite.id("batch"), a.suite.records(2, k), awayLimit)
		if err != nil {
			w.add("an error of Export", []byte(err.Error()))
			return
		}
		w.addMessage("an answer of Export", answer)
		return
	}
	result, err := i.run(ctx, a.suite.id("run"), awayLimit)
	if err != nil {
		w.add("an error of Run", []byte(err.Error()))
		return
	}
	w.addMessage("a result", result)
}

// leaked says in which form one of the values is in a text; "" where none is.
func leaked(text []byte, values map[string]bool) string {
	const short = 6 // shorter ones stand in any text
	for value := range values {
		if len(value) < short {
			continue
		}
		b := []byte(value)
		forms := map[string]string{
			"as it is": value, "in base64": strings.TrimRight(base64.StdEncoding.EncodeToString(b), "="),
			"in base64 for addresses": strings.TrimRight(base64.URLEncoding.EncodeToString(b), "="),
			"in hexadecimal":          hex.EncodeToString(b), "escaped for an address": url.QueryEscape(value),
		}
		for _, form := range slices.Sorted(maps.Keys(forms)) {
			if bytes.Contains(text, []byte(forms[form])) {
				return form
			}
		}
	}
	return ""
}

// printsFreely makes many runs while all that the process prints is read as the agent reads it. What a plugin prints for
// each run is bounded by what the agent keeps of a log: the rest would be dropped.
func printsFreely(ctx context.Context, a *attempt) error {
	const runs, perRun = 50, 64 << 10
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.every(func(k *kind) error {
		i, err := a.good(ctx, p.clients, k)
		if err != nil {
			return err
		}
		before := p.printed()
		for range runs {
			if err := a.use(ctx, i); err != nil {
				return fmt.Errorf("after it had printed %d bytes: %w", p.printed(), err)
			}
		}
		if each := (p.printed() - before) / runs; each > perRun {
			return fmt.Errorf("kind %q: it prints %d bytes for each run, want at most %d: the agent drops what is more", k.Name, each, perRun)
		}
		return nil
	})
}

func logsJSON(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, k := range a.suite.kinds {
		i, err := a.good(ctx, p.clients, k)
		if err == nil {
			_ = a.use(ctx, i) // what is wrong with it is another case's
		}
		if l, ok := errors.AsType[*left](err); ok {
			errs = append(errs, l)
		}
	}
	_ = shutdown(ctx, p.conn)
	_ = p.ended(stopLimit)
	p.settle()
	log := strings.TrimSpace(string(p.stderr.bytes()))
	if log == "" {
		a.note("it logged nothing")
		return errors.Join(errs...)
	}
	for line := range strings.Lines(log) {
		if err := logLine(line); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func logLine(line string) error {
	var entry map[string]any
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return fmt.Errorf("a line on standard error is no JSON: %q", clip(strings.TrimSpace(line)))
	}
	level, _ := entry["@level"].(string)
	if !slices.Contains([]string{"trace", "debug", "info", "warn", "error"}, level) {
		return fmt.Errorf("a line on standard error has the @level %q, want trace, debug, info, warn or error", clip(level))
	}
	if text, ok := entry["@message"].(string); !ok || text == "" {
		return fmt.Errorf("a line on standard error has no @message: %q", clip(strings.TrimSpace(line)))
	}
	return nil
}

func drains(ctx context.Context, a *attempt) error {
	var errs []error
	asked := false
	for _, k := range a.suite.kinds {
		switch {
		case k.config.BlackHole != nil:
			asked = true
			errs = append(errs, a.drainsCall(ctx, k))
		case k.Type == manifest.Check && !k.config.NoTarget:
			errs = append(errs, k.hasTarget(nil, "black_hole"))
		}
	}
	if asked || len(errs) > 0 {
		return errors.Join(errs...)
	}
	return a.drainsIdle(ctx)
}

// drainsCall asks for the end while a run or an export waits for a target that never answers.
func (a *attempt) drainsCall(ctx context.Context, k *kind) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	hole, err := a.hole(ctx)
	if err != nil {
		return err
	}
	i, err := a.away(ctx, p.clients, k, hole)
	if err != nil {
		return err
	}
	var cut error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if k.Type == manifest.Exporter {
			_, cut = i.send(ctx, a.suite.id("batch"), a.suite.records(1, k), awayLimit)
		} else {
			_, cut = i.run(ctx, a.suite.id("run"), awayLimit)
		}
	}()
	_ = hole.reached(ctx, 0, awayLimit)
	if err := a.drain(ctx, p); err != nil {
		<-done
		return err
	}
	select {
	case <-done:
	case <-time.After(100 * time.Millisecond): // the two answers may cross
		<-done
		return errors.New("the answer of Drain came while a call went on, want it to wait for the call")
	}
	if code := status.Code(cut); cut != nil && code != codes.DeadlineExceeded {
		return fmt.Errorf("the call that went on was cut off by Drain: %w", said(cut))
	}
	return a.endsAfterDrain(ctx, p)
}

func (a *attempt) drainsIdle(ctx context.Context) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	for _, k := range a.suite.kinds {
		if k.config.Good != nil {
			if _, err := a.good(ctx, p.clients, k); err != nil {
				return err
			}
		}
	}
	a.note("nothing of it asks a target, so that no call went on")
	if err := a.drain(ctx, p); err != nil {
		return err
	}
	return a.endsAfterDrain(ctx, p)
}

// drain gives a plugin the time of the longest run that goes on, and what the agent adds.
func (a *attempt) drain(ctx context.Context, p *process) error {
	const limit = 4 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := p.base.Drain(ctx, &pluginv1.DrainRequest{}); err != nil {
		return fmt.Errorf("calling Drain with a deadline of %s: %w", limit, said(err))
	}
	return nil
}

func (a *attempt) endsAfterDrain(ctx context.Context, p *process) error {
	_ = shutdown(ctx, p.conn)
	if !p.ended(stopLimit) {
		return fmt.Errorf("it had not ended %s after Drain and the shutdown", stopLimit)
	}
	return nil
}
