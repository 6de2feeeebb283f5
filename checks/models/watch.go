package models

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

// maxWatched ids are looked after over time: each has up to seven measurements, and a run has 200.
const maxWatched = 25

// Watch is what a team says of one model.
type Watch struct {
	Policy Policy `jsonschema:"enum=alias,enum=pinned,default=alias" jsonschema_description:"alias: the id may come to stand for another model, which is told. pinned: it must not, and an id that can is a finding." yaml:"policy"`
}

// Policy says whether an id may move.
type Policy string

// The policies.
const (
	PolicyAlias  Policy = "alias"
	PolicyPinned Policy = "pinned"
)

// wanted are the ids that must be listed: those the check names, and those that the provider's checks call.
func (m *Models) wanted() []string {
	ids := slices.Clone(m.params.Expect)
	named := slices.Concat(slices.Sorted(maps.Keys(m.params.Usable)), slices.Sorted(maps.Keys(m.params.Watch)))
	if m.used != nil {
		named = append(named, m.used()...)
	}
	for _, id := range named {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// watched is what is seen of the ids over time.
type watched struct {
	ids     []string
	listed  map[string]mistral.Model
	changes []Change
	trouble string // of the memory
	now     time.Time
}

// overTime compares the list with the one before and remembers it.
func (m *Models) overTime(ctx context.Context, listed map[string]mistral.Model, ids []string) watched {
	w := watched{ids: ids[:min(len(ids), maxWatched)], listed: listed, now: time.Now()}
	if len(ids) > maxWatched {
		w.trouble = fmt.Sprintf("%d models, of which the first %d are watched over time", len(ids), maxWatched)
	}
	if m.memory == nil {
		return w
	}
	data, err := m.memory.Load(ctx)
	if err != nil {
		w.trouble = "what was seen before cannot be read, so no change can be told: " + err.Error()
		return w
	}
	history, err := ReadHistory(data)
	if err != nil {
		w.trouble = err.Error() + "; it begins anew"
	}
	w.changes = history.take(w.ids, listed, m.prices, w.now)
	fresh, err := json.Marshal(history)
	if err == nil {
		err = m.memory.Save(ctx, fresh)
	}
	if err != nil {
		w.trouble = "what was seen cannot be kept: " + err.Error()
	}
	return w
}

// measurements are of each id, by the names of the catalogue.
func (m *Models) measurements(w *watched) []checks.Measurement {
	out := measured(w.changes)
	for _, id := range w.ids {
		attrs := map[string]string{"model": id}
		add := func(name string, value float64, unit string) {
			out = append(out, checks.Measurement{Name: "probe.llm.model." + name, Value: value, Unit: unit, Attrs: attrs})
		}
		model, ok := w.listed[id]
		add("listed", calls.Truth(ok), "")
		if !ok {
			continue
		}
		out = append(out, checks.Measurement{
			Name: "probe.llm.model.alias_info", Value: 1, Attrs: map[string]string{"alias": id, "model": canonical(&model)},
		})
		if !model.Deprecation.IsZero() {
			add("retirement_time", float64(model.Deprecation.Unix()), "s")
		}
		if model.MaxContextLength > 0 {
			add("context_length", float64(model.MaxContextLength), "{token}")
		}
		if m.params.Watch[id].Policy == PolicyPinned {
			add("floating", calls.Truth(floats(&model)), "")
		}
		if card := cardOf(&model, m.prices, w.now); card.Price != nil {
			out = append(out, card.Price.measurements(id)...)
		}
	}
	return out
}

func (p *Price) measurements(id string) []checks.Measurement {
	var out []checks.Measurement
	for _, part := range []struct {
		direction string
		price     float64
	}{{"input", p.Input}, {"cached", p.Cached}, {"output", p.Output}} {
		out = append(out, checks.Measurement{
			Name: "probe.llm.model.price.usd", Value: part.price, Attrs: map[string]string{"direction": part.direction, "model": id},
		})
	}
	return out
}

// floats reports whether an id can come to stand for another model.
func floats(model *mistral.Model) bool {
	return canonical(model) != model.ID || latest(model.ID)
}

// findings are what is worth a look although every model is there: what changed since the list before, what can move and
// must not, what ends soon.
func (m *Models) findings(r *checks.Result, w *watched) {
	find := func(step, text string, blame checks.Blame) {
		r.Evidence = append(r.Evidence, checks.Step{Name: step, Detail: oneline.Of(text, 300)})
		if r.Status == checks.OK {
			r.Status, r.Cause, r.Blame, r.Summary = checks.Degraded, checks.CauseAssertion, blame, oneline.Of(text, 300)
		}
	}
	for i := range w.changes {
		blame := checks.BlameProvider
		if w.changes[i].Own {
			blame = checks.BlameConfig
		}
		find("changed", w.changes[i].Text(), blame)
	}
	for _, id := range w.ids {
		model, ok := w.listed[id]
		if !ok {
			continue
		}
		if m.params.Watch[id].Policy == PolicyPinned && floats(&model) {
			find("pinned", fmt.Sprintf("%s is to be pinned and can move: it stands for %s", id, canonical(&model)), checks.BlameConfig)
		}
		left := model.Deprecation.Sub(w.now)
		switch {
		case model.Deprecation.IsZero():
		case m.params.RetireWithin > 0 && left < m.params.RetireWithin:
			find("retirement", fmt.Sprintf("%s retires in %s%s", id, days(left), successor(&model)), checks.BlameProvider)
		default:
			r.Evidence = append(r.Evidence, checks.Step{
				Name: "retirement", OK: true, Detail: oneline.Of(fmt.Sprintf("%s retires in %s%s", id, days(left), successor(&model)), 300),
			})
		}
	}
	if w.trouble != "" {
		r.Evidence = append(r.Evidence, checks.Step{Name: "memory", Detail: oneline.Of(w.trouble, 300)})
	}
}

func days(left time.Duration) string {
	if left < 48*time.Hour {
		return left.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(left.Hours()/24))
}

func successor(model *mistral.Model) string {
	if model.Replacement == "" {
		return ""
	}
	return ", to be replaced by " + model.Replacement
}
