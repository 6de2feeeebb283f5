package render

import (
	"bytes"
	"encoding/json"

	"github.com/windsock-monitor/windsock/internal/alerts"
)

// schema is the version of Grafana's dashboards that is written; Grafana 10 and later read it.
const schema = 39

// The width of a dashboard, in Grafana's units.
const width = 24

type dashboard struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	SchemaVersion int        `json:"schemaVersion"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"` // 1: one crosshair for all
	Refresh       string     `json:"refresh"`
	Time          timeRange  `json:"time"`
	Templating    templating `json:"templating"`
	Panels        []panel    `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Name       string  `json:"name"`
	Label      string  `json:"label"`
	Type       string  `json:"type"` // datasource or query
	Query      string  `json:"query"`
	Datasource *source `json:"datasource,omitempty"`
	Refresh    int     `json:"refresh,omitempty"` // 2: with the time range
	Multi      bool    `json:"multi"`
	IncludeAll bool    `json:"includeAll"`
	AllValue   string  `json:"allValue,omitempty"`
	Sort       int     `json:"sort,omitempty"` // 1: by name
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type panel struct {
	ID          int            `json:"id"`
	Type        string         `json:"type"`
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	GridPos     gridPos        `json:"gridPos"`
	Collapsed   *bool          `json:"collapsed,omitempty"` // of a row
	Panels      *[]panel       `json:"panels,omitempty"`    // of a row
	Datasource  *source        `json:"datasource,omitempty"`
	Targets     []target       `json:"targets,omitempty"`
	FieldConfig *fieldConfig   `json:"fieldConfig,omitempty"`
	Options     map[string]any `json:"options,omitempty"`
}

type target struct {
	RefID        string `json:"refId"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat,omitempty"`
	Instant      bool   `json:"instant,omitempty"`
	Range        bool   `json:"range,omitempty"`
}

type fieldConfig struct {
	Defaults  fieldDefaults `json:"defaults"`
	Overrides []any         `json:"overrides"`
}

type fieldDefaults struct {
	Unit       string         `json:"unit,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	NoValue    string         `json:"noValue"`
	Thresholds steppedLimits  `json:"thresholds"`
	Mappings   []any          `json:"mappings,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type steppedLimits struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

type step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"` // null: from the least
}

// Grafana is a dashboard of what the rules read, over the names that metrics have in Prometheus. Where a rule compares
// what a panel shows, its threshold is drawn.
func Grafana(in Input) ([]byte, []Remark) {
	d := dashboard{
		UID: "windsock", Title: "Windsock", Description: "Written by windsock alerts render --format grafana.", Tags: []string{"windsock"},
		SchemaVersion: schema, Editable: true, GraphTooltip: 1, Refresh: "1m", Time: timeRange{"now-6h", "now"},
		Templating: templating{variables()}, Panels: layout(in.Rules, sections()),
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(d) // strings and numbers only
	return out.Bytes(), nil
}

func prometheusSource() *source { return &source{"prometheus", "${datasource}"} }

func variables() []variable {
	query := func(name, label, of string) variable {
		return variable{
			Name: name, Label: label, Type: "query", Query: "label_values(" + of + ", " + name + ")", Datasource: prometheusSource(),
			Refresh: 2, Multi: true, IncludeAll: true, AllValue: ".*", Sort: 1,
		}
	}
	return []variable{
		{Name: "datasource", Label: "Prometheus", Type: "datasource", Query: "prometheus"},
		query("location", "Location", "windsock_build_info"),
		query("check", "Check", "probe_runs_total"),
	}
}

// layout places the panels of each section from left to right.
func layout(rules []alerts.Rule, all []section) []panel {
	var out []panel
	y, id := 0, 0
	next := func() int { id++; return id }
	for _, s := range all {
		open, none := false, []panel{}
		out = append(out, panel{ID: next(), Type: "row", Title: s.title, GridPos: gridPos{1, width, 0, y}, Collapsed: &open, Panels: &none})
		y++
		x, high := 0, 0
		for i := range s.graphs {
			g := &s.graphs[i]
			if x+g.w > width {
				x, y, high = 0, y+high, 0
			}
			p := g.panel(rules)
			p.ID, p.GridPos = next(), gridPos{g.h, g.w, x, y}
			out = append(out, p)
			x, high = x+g.w, max(high, g.h)
		}
		y += high
	}
	return out
}

// panel draws the graph.
func (g *graph) panel(rules []alerts.Rule) panel {
	p := panel{
		Type: g.kind, Title: g.title, Description: g.doc, Datasource: prometheusSource(), Options: g.options(),
		FieldConfig: &fieldConfig{Overrides: []any{}, Defaults: fieldDefaults{
			Unit: g.unit, NoValue: "no data", Thresholds: steppedLimits{"absolute", []step{{Color: "green"}}},
		}},
	}
	for i, q := range g.queries {
		p.Targets = append(p.Targets, target{
			RefID: string(rune('A' + i)), Expr: q.expr, LegendFormat: q.legend, Instant: g.kind != series && g.kind != states, Range: g.kind == series || g.kind == states,
		})
	}
	d := &p.FieldConfig.Defaults
	if g.share {
		zero, one := 0.0, 1.0
		d.Min, d.Max = &zero, &one
	}
	if g.kind == series {
		d.Custom = map[string]any{"fillOpacity": 10, "lineWidth": 1, "spanNulls": false}
		if g.stacked {
			d.Custom["stacking"] = map[string]any{"mode": "normal", "group": "A"}
		}
	}
	if c := compared(rules, g.metric); c != nil {
		d.Thresholds.Steps = limits(c)
		if g.kind == series {
			d.Custom["thresholdsStyle"] = map[string]any{"mode": "dashed"}
		}
	}
	if g.steps != nil {
		d.Thresholds.Steps = g.steps
	}
	d.Mappings = g.mappings
	return p
}

func (g *graph) options() map[string]any {
	switch g.kind {
	case series:
		return map[string]any{
			"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		}
	case states:
		return map[string]any{"showValue": "never", "mergeValues": true, "legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true}}
	}
	return map[string]any{"colorMode": "value", "graphMode": "none", "reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}
}

// compared is the first comparison of the rules with a metric, as it is, above or below.
func compared(rules []alerts.Rule, metric string) *alerts.Condition {
	for i := range rules {
		c := first(&rules[i].When)
		if metric != "" && c.Metric == metric && !c.Until && c.Op != alerts.Equals && !impossible(c) {
			return c
		}
	}
	return nil
}

func limits(c *alerts.Condition) []step {
	bad, good := "red", "green"
	if c.Op == alerts.Below {
		bad, good = good, bad
	}
	return []step{{Color: good}, {Color: bad, Value: &c.Threshold}}
}
