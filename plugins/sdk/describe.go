package sdk

import (
	"encoding/json"
	"fmt"

	"github.com/windsock-monitor/windsock/checks/params"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// The manifest as --describe prints it, for people.
type (
	describedPlugin struct {
		Name     string          `json:"name"`
		Version  string          `json:"version"`
		Summary  string          `json:"summary,omitempty"`
		Homepage string          `json:"homepage,omitempty"`
		Kinds    []describedKind `json:"kinds"`
	}
	describedKind struct {
		Name           string                 `json:"name"`
		Type           string                 `json:"type"`
		Doc            string                 `json:"doc"`
		MinInterval    string                 `json:"min_interval,omitempty"`
		DefaultTimeout string                 `json:"default_timeout,omitempty"`
		MaxCostUSD     float64                `json:"max_cost_usd,omitempty"`
		Measurements   []describedMeasurement `json:"measurements,omitempty"`
		MaxBatch       int32                  `json:"max_batch,omitempty"`
		Records        []string               `json:"records,omitempty"`
		Refresh        bool                   `json:"refresh,omitempty"`
		Parameters     json.RawMessage        `json:"parameters"`
	}
	describedMeasurement struct {
		Name        string `json:"name"`
		Unit        string `json:"unit,omitempty"`
		Description string `json:"description,omitempty"`
	}
)

func (s *Server) describe(proc process) int {
	d := s.described
	out := describedPlugin{Name: d.GetName(), Version: d.GetVersion(), Summary: d.GetSummary(), Homepage: d.GetHomepage()}
	for _, k := range d.GetKinds() {
		out.Kinds = append(out.Kinds, s.describeKind(k))
	}
	w := json.NewEncoder(proc.stdout)
	w.SetIndent("", "  ")
	w.SetEscapeHTML(false)
	if err := w.Encode(out); err != nil {
		fmt.Fprintln(proc.stderr, err)
		return 1
	}
	return 0
}

func (s *Server) describeKind(k *pluginv1.Kind) describedKind {
	declared := s.kinds[k.GetName()].declared
	out := describedKind{
		Name: k.GetName(), Type: "check", Doc: k.GetDocMarkdown(), MaxCostUSD: declared.MaxCost.USD(), MaxBatch: int32(declared.MaxBatch),
		Refresh: declared.Refresh, Parameters: k.GetConfigSchemaJson(),
	}
	if k.GetType() == pluginv1.KindType_KIND_TYPE_EXPORTER {
		out.Type = "exporter"
	}
	if d := declared.MinInterval; d > 0 {
		out.MinInterval = params.FormatDuration(d)
	}
	if d := declared.DefaultTimeout; d > 0 {
		out.DefaultTimeout = params.FormatDuration(d)
	}
	for _, m := range declared.Measurements {
		out.Measurements = append(out.Measurements, describedMeasurement(m))
	}
	for _, t := range declared.Records {
		out.Records = append(out.Records, string(t))
	}
	return out
}
