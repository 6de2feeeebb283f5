package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/checks/usable"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/headroom"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/store"
)

// ModelsView is what the store knows of the models that are watched.
type ModelsView struct {
	Models  []WatchedModel  `json:"models"`
	LeftOut []string        `json:"left_out,omitempty"` // ids that were too many for their models check to be watched
	Changes []models.Change `json:"changes,omitempty"`  // the newest first
	Limits  []LimitSeen     `json:"limits,omitempty"`
}

// WatchedModel is one id as a models check saw it last, or as one of the kind usable asked it where no models check watches it.
type WatchedModel struct {
	Provider    string    `json:"provider"`
	Check       string    `json:"check"` // that watches or asks it
	Model       string    `json:"model"`
	models.Card           // empty where it was never listed
	Before      string    `json:"before,omitempty"` // what it stood for before it moved last
	MovedAt     time.Time `json:"moved_at,omitzero"`
	Listed      *bool     `json:"listed,omitempty"` // whether it is in the newest list of the check; nil: no list was looked at
	Usable      *Usable   `json:"usable,omitempty"` // nil: nobody asked the model
}

// Gone reports whether the newest list is without the model.
func (m *WatchedModel) Gone() bool { return m.Listed != nil && !*m.Listed }

// Usable is what a model said when a check of the kind usable asked it last.
type Usable struct {
	OK bool `json:"ok"`
	usable.Verdict
}

// LimitSeen is one rate limit as a paid answer said it last.
type LimitSeen struct {
	Provider string `json:"provider"`
	headroom.Window
}

// SeenModels reads what checks of the kinds models and usable remember of their models, and the rate limits that were observed
// last, also while an agent runs. Nothing known is an empty view.
func SeenModels(ctx context.Context, cfg *config.Config, getenv func(string) string) (*ModelsView, error) {
	view := &ModelsView{}
	dir, err := StateDir(cfg, getenv)
	if err != nil {
		return nil, err
	}
	kept, err := store.OpenView(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return view, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = kept.Close() }()
	for i := range cfg.Checks {
		if cfg.Checks[i].Kind != "models" {
			continue
		}
		data, err := kept.Memory(ctx, cfg.Checks[i].Name)
		if err != nil {
			return nil, err
		}
		if err := view.add(&cfg.Checks[i], data); err != nil {
			return nil, err
		}
	}
	if err := view.asked(ctx, kept, cfg); err != nil {
		return nil, err
	}
	slices.SortStableFunc(view.Changes, func(a, b models.Change) int { return b.At.Compare(a.At) })
	return view, view.limits(ctx, kept, cfg)
}

// add takes over the memory of one check.
func (v *ModelsView) add(check *config.Check, data []byte) error {
	history, err := models.ReadHistory(data)
	if err != nil {
		return fmt.Errorf("check %q: %w", check.Name, err)
	}
	v.Changes = append(v.Changes, history.Changes...)
	v.LeftOut = append(v.LeftOut, history.LeftOut...)
	for _, id := range slices.Sorted(slices.Values(history.Watched)) {
		listed := history.Listed(id)
		row := WatchedModel{Provider: check.Provider, Check: check.Name, Model: id, Card: history.Cards[id], Listed: &listed}
		for _, c := range history.Changes {
			if c.Model == id && c.Moved() {
				row.Before, row.MovedAt = c.Before, c.At
			}
		}
		v.Models = append(v.Models, row)
	}
	return nil
}

// asked adds what checks of the kind usable remember, and a row for each model that only they know.
func (v *ModelsView) asked(ctx context.Context, kept *store.View, cfg *config.Config) error {
	for i := range cfg.Checks {
		check := &cfg.Checks[i]
		if check.Kind != "usable" {
			continue
		}
		data, err := kept.Memory(ctx, check.Name)
		if err != nil {
			return err
		}
		memory, err := usable.ReadMemory(data)
		if err != nil {
			return fmt.Errorf("check %q: %w", check.Name, err)
		}
		for _, id := range slices.Sorted(maps.Keys(memory.Models)) {
			v.answered(check, id, memory.Models[id])
		}
	}
	return nil
}

// answered adds what a model said when it was asked. Where two checks asked it, the newer answer counts.
func (v *ModelsView) answered(check *config.Check, id string, verdict usable.Verdict) {
	said, watched := &Usable{OK: verdict.Cause == checks.CauseNone, Verdict: verdict}, false
	for i := range v.Models {
		if m := &v.Models[i]; m.Model == id && m.Provider == check.Provider {
			if watched = true; m.Usable == nil || m.Usable.At.Before(verdict.At) {
				m.Usable = said
			}
		}
	}
	if !watched {
		v.Models = append(v.Models, WatchedModel{Provider: check.Provider, Check: check.Name, Model: id, Usable: said})
	}
}

func (v *ModelsView) limits(ctx context.Context, kept *store.View, cfg *config.Config) error {
	for i := range cfg.Providers {
		name := cfg.Providers[i].Name
		data, err := kept.State(ctx, pipeline.LimitsKey(name))
		if err != nil {
			return err
		}
		var tracker headroom.Tracker
		if data == nil || tracker.Restore(time.Now(), cfg.Providers[i].BaseURL, data) != nil { // the next paid answer writes it anew
			continue
		}
		for _, w := range tracker.Windows() {
			v.Limits = append(v.Limits, LimitSeen{name, w})
		}
	}
	slices.SortStableFunc(v.Limits, func(a, b LimitSeen) int { return strings.Compare(a.Provider, b.Provider) })
	return nil
}
