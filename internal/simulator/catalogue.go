package simulator

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

//go:embed catalogue.json
var catalogueJSON []byte

// model is one canonical model of the catalogue; the list shows it once per id.
type model struct {
	Name          string   `json:"name"`
	Aliases       []string `json:"aliases"`
	Billing       string   `json:"billing"`
	Context       int      `json:"context"`
	Temperature   *float64 `json:"temperature"`
	Abilities     []string `json:"abilities"`
	Width         int      `json:"width"` // of its embeddings; 0 where it makes none
	RetiresInDays int      `json:"retires_in_days"`
	Replacement   string   `json:"replacement"`
	Gate          string   `json:"gate"` // the preset with which it refuses every paid call

	retires time.Time
}

func (m *model) can(ability string) bool { return slices.Contains(m.Abilities, ability) }

// catalogue is what the provider knows at one moment: every id (aliases are ids) with the model behind it.
type catalogue struct {
	ids     []string // in the order of the list
	models  map[string]*model
	retired map[string]bool
	hidden  map[string]bool // usable, not listed
}

func loadCatalogue(start time.Time) (*catalogue, error) {
	var file struct {
		Source string   `json:"source"`
		Models []*model `json:"models"`
	}
	if err := json.Unmarshal(catalogueJSON, &file); err != nil {
		return nil, fmt.Errorf("reading the embedded catalogue: %w", err)
	}
	c := &catalogue{models: map[string]*model{}}
	for _, m := range file.Models {
		if m.Billing == "" {
			m.Billing = m.Name
		}
		if m.RetiresInDays > 0 {
			m.retires = start.UTC().Truncate(24*time.Hour).AddDate(0, 0, m.RetiresInDays).Add(12 * time.Hour)
		}
		for _, id := range append([]string{m.Name}, m.Aliases...) {
			c.ids = append(c.ids, id)
			c.models[id] = m
		}
	}
	return c, nil
}

// with returns the catalogue as the faults change it; the receiver stays as it is.
func (c *catalogue) with(faults []Fault) *catalogue {
	v := &catalogue{ids: c.ids, models: c.models, retired: map[string]bool{}, hidden: map[string]bool{}}
	for _, f := range faults {
		switch {
		case f.AliasMoved != nil:
			v.move(f.AliasMoved.Alias, f.AliasMoved.To)
		case f.ModelRetired != nil:
			v.retire(f.ModelRetired.ID)
		case f.ModelUnlisted != nil:
			v.hidden[f.ModelUnlisted.ID] = true
		}
	}
	return v
}

func (c *catalogue) move(alias, to string) {
	target, ok := c.models[to]
	if !ok {
		return
	}
	moved := make(map[string]*model, len(c.models)+1)
	maps.Copy(moved, c.models)
	if _, known := moved[alias]; !known {
		c.ids = append(slices.Clone(c.ids), alias)
	}
	moved[alias] = target
	c.models = moved
}

// retire takes one id away; the canonical id takes its aliases along.
func (c *catalogue) retire(id string) {
	c.retired[id] = true
	for other, m := range c.models {
		if m.Name == id {
			c.retired[other] = true
		}
	}
}

// find returns the model that an id stands for; retired ids are known and gone.
func (c *catalogue) find(id string) (m *model, retired bool) {
	if c.retired[id] {
		return nil, true
	}
	return c.models[id], false
}

// card is one entry of the list. deprecation is the retirement time, null where there is none.
type card struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"`
	Created      int64           `json:"created"`
	OwnedBy      string          `json:"owned_by"`
	Capabilities map[string]bool `json:"capabilities"`
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	MaxContext   int             `json:"max_context_length"`
	Aliases      []string        `json:"aliases"`
	Deprecation  *string         `json:"deprecation"`
	Replacement  *string         `json:"deprecation_replacement_model"`
	Temperature  *float64        `json:"default_model_temperature"`
	Billing      string          `json:"billing_model_name"`
	Type         string          `json:"type"`
}

func (c *catalogue) card(id string, now time.Time) card {
	m := c.models[id]
	k := card{
		ID: id, Object: "model", Created: now.Unix(), OwnedBy: "mistralai", Capabilities: map[string]bool{},
		Name: m.Name, Description: "Simulated " + m.Name, MaxContext: m.Context, Aliases: []string{},
		Temperature: m.Temperature, Billing: m.Billing, Type: "base",
	}
	for _, ability := range []string{
		"audio", "audio_speech", "audio_transcription", "audio_transcription_realtime", "classification", "completion_chat",
		"completion_fim", "fine_tuning", "function_calling", "moderation", "ocr", "reasoning", "unified_resources", "vision",
	} {
		k.Capabilities[ability] = m.can(ability)
	}
	for _, other := range c.ids {
		if other != id && c.models[other] == m && !c.retired[other] {
			k.Aliases = append(k.Aliases, other)
		}
	}
	if !m.retires.IsZero() {
		at := m.retires.Format(time.RFC3339)
		k.Deprecation, k.Replacement = &at, &m.Replacement
	}
	return k
}

func (c *catalogue) cards(now time.Time) []card {
	list := make([]card, 0, len(c.ids))
	for _, id := range c.ids {
		if !c.retired[id] && !c.hidden[id] {
			list = append(list, c.card(id, now))
		}
	}
	return list
}
