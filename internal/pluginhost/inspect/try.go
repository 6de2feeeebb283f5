package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

// Trial is one run of a check, or one export, by hand.
type Trial struct {
	Kind    string
	Params  []byte // YAML or JSON; none: the kind's defaults
	Secrets map[string]string
	Timeout time.Duration
	Version string // of the agent
}

// Tried is what came of it.
type Tried struct {
	Report *checks.Report `json:"-"`      // of a check
	Export string         `json:"export"` // of an exporter: what it said, for a person
	Taken  bool           `json:"taken"`
}

// ParamsError says what is wrong with the parameters of a trial.
type ParamsError struct{ Text string }

func (e *ParamsError) Error() string { return e.Text }

// Try configures one instance and makes one run, or one export, with it.
func (p *Plugin) Try(ctx context.Context, t Trial) (Tried, error) {
	k, known := p.Manifest.Kind(t.Kind)
	if !known {
		return Tried{}, &ParamsError{fmt.Sprintf("the plugin has no kind %q, but %s", t.Kind, strings.Join(p.Manifest.Names(), ", "))}
	}
	config, err := t.config(k)
	if err != nil {
		return Tried{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	if err := p.configure(ctx, t, k, config); err != nil {
		return Tried{}, err
	}
	if k.Type == manifest.Exporter {
		return p.export(ctx, t)
	}
	return p.run(ctx, t)
}

// config is the parameters as JSON, judged by the kind's schema.
func (t Trial) config(k manifest.Kind) ([]byte, error) {
	var value any
	if err := yaml.Unmarshal(t.Params, &value); err != nil {
		return nil, &ParamsError{"the parameters are not YAML: " + err.Error()}
	}
	if value == nil {
		value = map[string]any{}
	}
	config, err := json.Marshal(value)
	if err != nil {
		return nil, &ParamsError{"the parameters cannot be written as JSON: " + err.Error()}
	}
	schema, err := k.Compile()
	if err != nil {
		return nil, fmt.Errorf("kind %q: %w", k.Name, err)
	}
	var lines []string
	for _, f := range schema.Validate(config) {
		line := f.Message
		if len(f.Path) > 0 {
			line = strings.Join(f.Path, ".") + ": " + line
		}
		lines = append(lines, strings.TrimSuffix(line+"; "+f.Hint, "; "))
	}
	if len(lines) > 0 {
		return nil, &ParamsError{"the parameters cannot be used: " + strings.Join(lines, "\n")}
	}
	return config, nil
}

// instance is the id of the only one.
const instance = "trial"

func (p *Plugin) configure(ctx context.Context, t Trial, k manifest.Kind, config []byte) error {
	request := &pluginv1.ConfigureRequest{
		InstanceId: instance, Kind: k.Name, ConfigJson: config, Secrets: map[string][]byte{}, Name: instance, Timeout: durationpb.New(t.Timeout),
	}
	for name, value := range t.Secrets {
		request.Secrets[name] = []byte(value)
	}
	if k.Type == manifest.Exporter {
		request.Exporter = &pluginv1.ExporterContext{AgentInstance: instance, AgentVersion: t.Version}
	}
	answer, err := pluginv1.NewBasePluginClient(p.Conn()).Configure(ctx, request)
	if err != nil {
		return fmt.Errorf("configuring %q: %w", k.Name, err)
	}
	var lines []string
	for _, d := range answer.GetDiagnostics() {
		if d.GetSeverity() != pluginv1.Severity_SEVERITY_WARNING {
			lines = append(lines, wire.Line(strings.TrimPrefix(d.GetPointer()+": "+d.GetSummary(), ": ")))
		}
	}
	if len(lines) > 0 {
		return &ParamsError{"the plugin refuses the parameters: " + strings.Join(lines, "\n")}
	}
	return nil
}

func (p *Plugin) run(ctx context.Context, t Trial) (Tried, error) {
	began := time.Now()
	answer, err := pluginv1.NewCheckPluginClient(p.Conn()).Run(ctx, &pluginv1.RunRequest{
		InstanceId: instance, RunId: ulid.Make().String(), Timeout: durationpb.New(t.Timeout),
	})
	if err != nil {
		return Tried{}, fmt.Errorf("running %q: %w", t.Kind, err)
	}
	result, err := wire.ResultFromProto(answer.GetResult())
	if err != nil {
		return Tried{}, fmt.Errorf("running %q: %w", t.Kind, err)
	}
	if result.Blame == checks.BlameNone {
		result.Blame = result.Cause.Blame()
	}
	return Tried{Report: &checks.Report{
		ID: ulid.Make().String(), Check: instance, Kind: p.Manifest.Name + "/" + t.Kind, StartedAt: began, Took: time.Since(began),
		Timeout: t.Timeout, Trigger: checks.TriggerManual, Attempt: 1, Final: true, Result: result,
	}}, nil
}

// export sends one record of the agent's own, which no reader can take for a result.
func (p *Plugin) export(ctx context.Context, t Trial) (Tried, error) {
	now, id := time.Now(), ulid.Make().String()
	answer, err := pluginv1.NewExporterPluginClient(p.Conn()).Export(ctx, &pluginv1.ExportRequest{
		InstanceId: instance, BatchId: id, Records: wire.RecordsToProto([]checks.Record{{ID: id, At: now, Agent: &checks.Snapshot{
			Version: t.Version, StartedAt: now,
			Measurements: []checks.Measurement{{Name: "windsock.build_info", Value: 1, Attrs: map[string]string{"version": t.Version}}},
		}}}),
	})
	if err != nil {
		return Tried{}, fmt.Errorf("exporting by %q: %w", t.Kind, err)
	}
	return toldOutcome(wire.OutcomeFromProto(answer, 1)), nil
}

// toldOutcome is what became of the record, for a person.
func toldOutcome(outcome exporters.Outcome, err error) Tried {
	switch {
	case exporters.IsHold(err):
		return Tried{Export: "held: " + err.Error()}
	case err != nil:
		return Tried{Export: "not taken: " + err.Error()}
	case len(outcome.Rejected) > 0:
		return Tried{Export: "rejected: " + outcome.Rejected[0].Reason}
	}
	return Tried{Export: "took one record", Taken: true}
}
