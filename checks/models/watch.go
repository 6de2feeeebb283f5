package models

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

// maxWatched ids are looked after over time. Each has up to nine measurements (listed, what it stands for, its end, its context,
// whether it can move, three prices, a move), all of them together the kinds of change and their number: 187 of the 200 that a
// run may have. What the call itself measures has the rest: its status, and at least four rate limits of three numbers.
const (
	maxWatched      = 20
	maxMeasurements = 200
)

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

// wanted are the ids that must be listed: those the check names, and those that the provider's checks call. The first are
// watched over time, so that what is to be watched comes first.
func (m *Models) wanted() []string {
	var ids []string
	named := slices.Concat(slices.Sorted(maps.Keys(m.params.Watch)), m.params.Expect, slices.Sorted(maps.Keys(m.params.Usable)))
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
	leftOut []string // that are too many, and only looked for in the list
	listed  map[string]mistral.Model
	changes []Change
	trouble string // of the memory
	now     time.Time
}

// overTime compares the list with the one before and remembers it.
func (m *Models) overTime(ctx context.Context, listed map[string]mistral.Model, ids []string, began time.Time) watched {
	most := min(len(ids), maxWatched)
	w := watched{ids: ids[:most], leftOut: ids[most:], listed: listed, now: time.Now()}
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
		w.trouble = err.Error() + "; it begins anew, and what changed until now cannot be told"
	}
	again, err := m.again(ctx, &history, w.ids)
	if err != nil {
		w.trouble = "whether the last change was recorded cannot be read, so it is told again: " + err.Error()
	}
	history.LeftOut = w.leftOut
	w.changes = append(again, history.take(w.ids, listed, m.prices, w.now)...)
	history.tell(w.changes, began)
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
	for _, part := range append([]priced{{"input", p.Input}}, p.others()...) {
		out = append(out, checks.Measurement{
			Name: "probe.llm.model.price.usd", Value: part.usd, Attrs: map[string]string{"direction": part.direction, "model": id},
		})
	}
	return out
}

// floats reports whether an id can come to stand for another model.
func floats(model *mistral.Model) bool {
	return canonical(model) != model.ID || latest(model.ID)
}

// findings are what is worth a look although every model is there: what changed since the list before, what can move and
// must not, what ends soon, and that nobody knows whether anything changed.
func (m *Models) findings(r *checks.Result, w *watched) {
	if len(w.leftOut) > 0 {
		text := fmt.Sprintf("%d are watched over time, and these are only looked for in the list: %s", len(w.ids), strings.Join(w.leftOut, ", "))
		r.Evidence = append(r.Evidence, checks.Step{Name: "watch", Detail: oneline.Of(text, 300)})
	}
	for i := range w.changes {
		if i == maxTold {
			r.Evidence = append(r.Evidence, checks.Step{Name: "changed", Detail: fmt.Sprintf("and %d more changes", len(w.changes)-i)})
			break
		}
		found(r, "changed", w.changes[i].told(), w.changes[i].blame())
	}
	for _, id := range w.ids {
		if model, ok := w.listed[id]; ok {
			m.outlook(r, &model, w.now)
		}
	}
	if w.trouble != "" {
		calls.Forgetful(r, w.trouble)
	}
}

// maxTold changes are told one by one: the evidence of a run has its bound too.
const maxTold = 100

// found tells a finding. The first one degrades what is well.
func found(r *checks.Result, step, text string, blame checks.Blame) {
	text = oneline.Of(text, 300)
	r.Evidence = append(r.Evidence, checks.Step{Name: step, Detail: text})
	if r.Status == checks.OK {
		r.Status, r.Cause, r.Blame, r.Summary = checks.Degraded, checks.CauseAssertion, blame, text
	}
}

// outlook is what is to be expected of a model that is listed: that it moves, or ends.
func (m *Models) outlook(r *checks.Result, model *mistral.Model, now time.Time) {
	if m.params.Watch[model.ID].Policy == PolicyPinned && floats(model) {
		text := fmt.Sprintf("%s is to be pinned and can move: it stands for %s", model.ID, canonical(model))
		found(r, "pinned", text, checks.BlameConfig)
	}
	if model.Deprecation.IsZero() {
		return
	}
	left := model.Deprecation.Sub(now)
	text := fmt.Sprintf("%s retires in %s%s", model.ID, days(left), successor(model))
	if m.params.RetireWithin > 0 && left < m.params.RetireWithin {
		found(r, "retirement", text, checks.BlameProvider)
		return
	}
	r.Evidence = append(r.Evidence, checks.Step{Name: "retirement", OK: true, Detail: oneline.Of(text, 300)})
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
