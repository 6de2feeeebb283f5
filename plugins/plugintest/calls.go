package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// clients are the services of one process.
type clients struct {
	conn   *grpc.ClientConn
	base   pluginv1.BasePluginClient
	check  pluginv1.CheckPluginClient
	export pluginv1.ExporterPluginClient
}

func clientsOf(conn *grpc.ClientConn) clients {
	return clients{conn, pluginv1.NewBasePluginClient(conn), pluginv1.NewCheckPluginClient(conn), pluginv1.NewExporterPluginClient(conn)}
}

// instance is one that the plugin took.
type instance struct {
	clients

	kind *kind
	id   string
}

// request is what the agent would say of a check or exporter with these parameters.
func (a *attempt) request(k *kind, params []byte, timeout time.Duration) *pluginv1.ConfigureRequest {
	r := &pluginv1.ConfigureRequest{
		InstanceId: a.suite.id("instance"), Kind: k.Name, ConfigJson: params, Secrets: a.suite.secrets(params), Name: "conformance-" + k.Name,
		Location: "conformance", Labels: map[string]string{"suite": "conformance"}, Timeout: durationpb.New(timeout),
	}
	if k.Type == manifest.Exporter {
		r.Exporter = &pluginv1.ExporterContext{AgentInstance: "01JDQ0CONFORMANCE000000000", AgentVersion: "0.0.0-conformance"}
	}
	return r
}

// configure makes an instance; a diagnostic of severity error is an error.
func (a *attempt) configure(ctx context.Context, c clients, k *kind, r *pluginv1.ConfigureRequest) (*instance, error) {
	diagnostics, err := configured(ctx, c, r)
	if err != nil {
		return nil, fmt.Errorf("kind %q: Configure: %w", k.Name, err)
	}
	for _, d := range diagnostics {
		if isError(d) {
			return nil, fmt.Errorf("kind %q: Configure refused good parameters: %s", k.Name, shown(d))
		}
	}
	return &instance{c, k, r.GetInstanceId()}, nil
}

func configured(ctx context.Context, c clients, r *pluginv1.ConfigureRequest) ([]*pluginv1.Diagnostic, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	answer, err := c.base.Configure(ctx, r)
	if err != nil {
		return nil, said(err)
	}
	return answer.GetDiagnostics(), nil
}

func isError(d *pluginv1.Diagnostic) bool {
	return d.GetSeverity() != pluginv1.Severity_SEVERITY_WARNING
}

func shown(d *pluginv1.Diagnostic) string {
	return fmt.Sprintf("%q at %q", clip(d.GetSummary()), clip(d.GetPointer()))
}

// good makes an instance with the good parameters.
func (a *attempt) good(ctx context.Context, c clients, k *kind) (*instance, error) {
	params, err := a.goodParams(k)
	if err != nil {
		return nil, err
	}
	return a.configure(ctx, c, k, a.request(k, params, k.timeout()))
}

func (a *attempt) goodParams(k *kind) ([]byte, error) {
	if k.config.Good == nil {
		return nil, k.lacksGood()
	}
	return a.params(k.config.Good, nil)
}

func (k *kind) lacksGood() error {
	return untried("kind %q: there are no good parameters: write kinds.%s.good into the file of --config", k.Name, k.Name)
}

// away makes an instance whose target is away; the set is unreachable or black_hole.
func (a *attempt) away(ctx context.Context, c clients, k *kind, hole *blackHole) (*instance, error) {
	raw, word := k.config.Unreachable, "unreachable"
	if hole != nil {
		raw, word = k.config.BlackHole, "black_hole"
	}
	if err := k.hasTarget(raw, word); err != nil {
		return nil, err
	}
	params, err := a.params(raw, hole)
	if err != nil {
		return nil, err
	}
	return a.configure(ctx, c, k, a.request(k, params, awayLimit))
}

func (k *kind) hasTarget(raw json.RawMessage, word string) error {
	switch {
	case k.config.NoTarget:
		return skip("kind %q asks nobody (no_target)", k.Name)
	case raw == nil:
		return untried("kind %q: write kinds.%s.%s into the file of --config, or no_target", k.Name, k.Name, word)
	}
	return nil
}

// each does something with every kind of a type.
func (a *attempt) each(typ manifest.Type, do func(k *kind) error) error {
	var errs []error
	found := false
	for _, k := range a.suite.kinds {
		if k.Type == typ {
			found = true
			errs = append(errs, do(k))
		}
	}
	if !found {
		return skip("the plugin has no %s", typ)
	}
	return errors.Join(errs...)
}

// every does something with every kind.
func (a *attempt) every(do func(k *kind) error) error {
	var errs []error
	for _, k := range a.suite.kinds {
		errs = append(errs, do(k))
	}
	return errors.Join(errs...)
}

// run makes one run. The call may take a little longer than the run, as the agent's may.
func (i *instance) run(ctx context.Context, id string, timeout time.Duration) (*pluginv1.RunResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+grace)
	defer cancel()
	return i.check.Run(ctx, &pluginv1.RunRequest{InstanceId: i.id, RunId: id, Timeout: durationpb.New(timeout)}) //nolint:wrapcheck // its code is looked at
}

// send makes one attempt to export.
func (i *instance) send(ctx context.Context, batch string, records []*pluginv1.Record, timeout time.Duration) (*pluginv1.ExportResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+grace)
	defer cancel()
	return i.export.Export(ctx, &pluginv1.ExportRequest{InstanceId: i.id, BatchId: batch, Records: records}) //nolint:wrapcheck // its code is looked at
}

// refresh tells of the alerts that are open.
func (i *instance) refresh(ctx context.Context, alerts []*pluginv1.Alert, timeout time.Duration) (*pluginv1.RefreshResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+grace)
	defer cancel()
	return i.export.Refresh(ctx, &pluginv1.RefreshRequest{InstanceId: i.id, Alerts: alerts}) //nolint:wrapcheck // its code is looked at
}

// use makes a run, or exports one record, and says what is wrong with the answer.
func (a *attempt) use(ctx context.Context, i *instance) error {
	if i.kind.Type == manifest.Exporter {
		records := a.suite.records(1, i.kind)
		answer, err := i.send(ctx, a.suite.id("batch"), records, i.kind.timeout())
		if err != nil {
			return fmt.Errorf("kind %q: Export: %w", i.kind.Name, said(err))
		}
		return wellExported(i.kind, answer)
	}
	answer, err := i.run(ctx, a.suite.id("run"), i.kind.timeout())
	if err != nil {
		return fmt.Errorf("kind %q: Run: %w", i.kind.Name, said(err))
	}
	return wellRun(i.kind, answer)
}

// lost asks for something of an instance that must not be there.
func (a *attempt) lost(ctx context.Context, i *instance, when string) error {
	var err error
	call := "Run"
	if i.kind.Type == manifest.Exporter {
		call = "Export"
		_, err = i.send(ctx, a.suite.id("batch"), a.suite.records(1, i.kind), i.kind.timeout())
	} else {
		_, err = i.run(ctx, a.suite.id("run"), i.kind.timeout())
	}
	if code := status.Code(err); code != codes.FailedPrecondition {
		return fmt.Errorf("kind %q: %s of an instance %s answered %s, want FailedPrecondition", i.kind.Name, call, when, code)
	}
	return nil
}

func (i *instance) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if _, err := i.base.Release(ctx, &pluginv1.ReleaseRequest{InstanceId: i.id}); err != nil {
		return fmt.Errorf("kind %q: Release: %w", i.kind.Name, said(err))
	}
	return nil
}
