package sdk

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

func (b *base) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (_ *pluginv1.ConfigureResponse, err error) {
	if err := b.s.begin(); err != nil {
		return nil, err
	}
	defer b.s.end()
	defer b.s.recovered("Configure", r.GetName(), &err)
	if r.GetInstanceId() == "" && !r.GetValidateOnly() {
		return nil, status.Error(codes.InvalidArgument, "the instance has no id")
	}
	k := b.s.kinds[r.GetKind()]
	if k == nil {
		return refused(problem("", fmt.Sprintf("there is no kind %q, want one of %s", r.GetKind(), strings.Join(slices.Sorted(maps.Keys(b.s.kinds)), ", ")))), nil
	}
	d, wrong := parameters(k, r)
	if len(wrong) > 0 || r.GetValidateOnly() {
		return refused(wrong...), nil
	}
	// What is replaced goes first: it may hold the file that its successor opens.
	if before := b.s.take(r.GetInstanceId(), nil); before != nil {
		if err := before.retire(ctx); err != nil {
			return nil, err
		}
	}
	next := newInstance(k, r.GetName())
	if err := b.s.build(next, d, r); err != nil {
		return refused(ofKind(err, d.doc)...), nil
	}
	response := &pluginv1.ConfigureResponse{}
	if wrong := next.judge(response, time.Now()); len(wrong) > 0 {
		if err := next.retire(ctx); err != nil {
			b.s.log.Warn("closing what was refused", "name", next.name, "error", err)
		}
		return refused(wrong...), nil
	}
	b.s.adopt(ctx, r.GetInstanceId(), next)
	return response, nil
}

func refused(all ...*pluginv1.Diagnostic) *pluginv1.ConfigureResponse {
	return &pluginv1.ConfigureResponse{Diagnostics: all}
}

// adopt serves a new instance. One that came in between is closed: the last one counts.
func (s *Server) adopt(ctx context.Context, id string, next *instance) {
	if between := s.take(id, next); between != nil {
		if err := between.retire(ctx); err != nil {
			s.log.Warn("closing what was replaced", "name", between.name, "error", err)
		}
	}
}

// parameters reads and checks the parameters: first against the schema, because it knows every place, then as the kind does.
func parameters(k *kind, r *pluginv1.ConfigureRequest) (decoder, []*pluginv1.Diagnostic) {
	text := r.GetConfigJson()
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return decoder{}, []*pluginv1.Diagnostic{problem("", "the parameters are no JSON: "+err.Error())}
	}
	if err := k.schema.Validate(doc); err != nil {
		return decoder{}, ofSchema(err)
	}
	d := decoder{doc: doc, secrets: r.GetSecrets()}
	return d, ofKind(k.validate(d), doc)
}

// build makes the check or the exporter.
func (s *Server) build(i *instance, d checks.Decoder, r *pluginv1.ConfigureRequest) (err error) {
	timeout, err := wire.DurationFromProto("timeout", r.GetTimeout())
	if err != nil {
		return err
	}
	log := s.log.With("kind", i.kind.name, "name", i.name)
	if k := i.kind.check; k != nil {
		i.check, err = k.New(d, checks.Env{Log: log, Name: i.name, Location: r.GetLocation(), Timeout: timeout, Memory: i.memory})
		return err
	}
	e := r.GetExporter()
	i.exporter, err = i.kind.exporter.New(d, exporters.Env{
		Log: log, Name: i.name, Version: e.GetAgentVersion(), Instance: e.GetAgentInstance(), Location: r.GetLocation(), Labels: r.GetLabels(),
		State: state(e.GetState()), Unclean: e.GetUnclean(),
		Getenv: os.Getenv, //nolint:forbidigo // the agent gives a plugin an environment of its own, with what its entry allows
		Stdout: nowhere{},
	})
	return err
}

// nowhere is the standard output of an exporter in a plugin: the handshake's line is all that the agent reads there.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func state(kept []byte) []byte {
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// judge finds what of a new instance the agent could not live with, and tells what it knows of it.
func (i *instance) judge(response *pluginv1.ConfigureResponse, now time.Time) []*pluginv1.Diagnostic {
	if i.check == nil && i.exporter == nil {
		return []*pluginv1.Diagnostic{problem("", "the kind made nothing of its parameters")}
	}
	if _, ok := i.exporter.(exporters.Handler); ok {
		return []*pluginv1.Diagnostic{problem("", "the exporter serves pages on the agent's listener, which a plugin cannot")}
	}
	if paid, ok := i.check.(checks.Paid); ok {
		cost, _ := paid.MaxCost(now)
		if most := i.kind.declared.MaxCost; cost < 0 || cost > most {
			return []*pluginv1.Diagnostic{problem("", fmt.Sprintf("a run can cost %s, the plugin declares at most %s", cost, most))}
		}
		pico := int64(cost)
		response.MaxCostPicoUsd = &pico
	}
	response.Diagnostics = i.undeclared()
	return nil
}

// undeclared warns of what the agent cannot know of the kind, because nobody declared it.
func (i *instance) undeclared() []*pluginv1.Diagnostic {
	var out []*pluginv1.Diagnostic
	declared := &i.kind.declared
	if measuring, ok := i.check.(checks.Measuring); ok {
		for _, name := range measuring.Measures() {
			if !slices.ContainsFunc(declared.Measurements, func(m Measurement) bool { return m.Name == name }) {
				out = append(out, warning(fmt.Sprintf("it measures %q, which the plugin does not declare: the agent refuses results that hold it", name)))
			}
		}
	}
	if _, ok := i.exporter.(exporters.Refresher); ok != declared.Refresh && i.exporter != nil {
		out = append(out, warning(fmt.Sprintf("the exporter can be refreshed: %t, the plugin declares %t", ok, declared.Refresh)))
	}
	return out
}
