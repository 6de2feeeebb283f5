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
	"github.com/windsock-monitor/windsock/internal/store"
)

// ModelsView is what the store knows of the models that are watched.
type ModelsView struct {
	Models  []WatchedModel  `json:"models"`
	Changes []models.Change `json:"changes,omitempty"` // the newest first
	Limits  []LimitSeen     `json:"limits,omitempty"`
}

// WatchedModel is one id as a models check saw it last.
type WatchedModel struct {
	Provider string `json:"provider"`
	Check    string `json:"check"` // that watches it
	Model    string `json:"model"`
	models.Card
	Before  string    `json:"before,omitempty"` // what it stood for before it moved last
	MovedAt time.Time `json:"moved_at,omitzero"`
	Listed  bool      `json:"listed"`           // in the newest list of the check
	Usable  *Usable   `json:"usable,omitempty"` // nil: nobody asked the model
}

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

// SeenModels reads what checks of the kind models remember of their models, and the rate limits that were observed last, also
// while an agent runs. Nothing known is an empty view.
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
	var newest time.Time
	for _, card := range history.Cards {
		if card.SeenAt.After(newest) {
			newest = card.SeenAt
		}
	}
	for _, id := range slices.Sorted(maps.Keys(history.Cards)) {
		card := history.Cards[id]
		row := WatchedModel{Provider: check.Provider, Check: check.Name, Model: id, Card: card, Listed: card.SeenAt.Equal(newest)}
		for _, c := range history.Changes {
			if c.Model == id && c.Moved() {
				row.Before, row.MovedAt = c.Before, c.At
			}
		}
		v.Models = append(v.Models, row)
	}
	return nil
}

// asked adds what checks of the kind usable remember.
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
		for j := range v.Models {
			if verdict, known := memory.Models[v.Models[j].Model]; known && v.Models[j].Provider == check.Provider {
				v.Models[j].Usable = &Usable{OK: verdict.Cause == checks.CauseNone, Verdict: verdict}
			}
		}
	}
	return nil
}

func (v *ModelsView) limits(ctx context.Context, kept *store.View, cfg *config.Config) error {
	for i := range cfg.Providers {
		name := cfg.Providers[i].Name
		data, err := kept.State(ctx, limitsKey(name))
		if err != nil {
			return err
		}
		var tracker headroom.Tracker
		if data == nil || tracker.Restore(time.Now(), data) != nil { // the next paid answer writes it anew
			continue
		}
		for _, w := range tracker.Windows() {
			v.Limits = append(v.Limits, LimitSeen{name, w})
		}
	}
	slices.SortStableFunc(v.Limits, func(a, b LimitSeen) int { return strings.Compare(a.Provider, b.Provider) })
	return nil
}
