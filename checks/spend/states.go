package spend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/windsock-monitor/windsock/checks"
)

// states are what the sources keep over a restart, all in the check's one memory, so that it is saved whole or not at all.
type states struct {
	memory checks.Memory // nil: nothing outlives the process
	bySort map[string][]byte
	dirty  bool
	loaded bool

	damaged string // why the sources begin anew, told once
}

// load reads the memory once: after that the process knows it. One that cannot be read now is asked again at the next run, and
// sources must not begin anew meanwhile.
func (s *states) load(ctx context.Context) error {
	if s.loaded || s.memory == nil {
		return nil
	}
	data, err := s.memory.Load(ctx)
	if err != nil {
		return fmt.Errorf("reading what the sources keep: %w", err)
	}
	s.bySort = map[string][]byte{}
	s.loaded = true
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, &s.bySort); err != nil || s.bySort == nil {
		s.bySort = map[string][]byte{}
		s.damaged = "what the sources kept is damaged: they begin anew"
	}
	return nil
}

// save writes what changed.
func (s *states) save(ctx context.Context) error {
	if !s.dirty || s.memory == nil {
		return nil
	}
	data, err := json.Marshal(s.bySort)
	if err == nil {
		err = s.memory.Save(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("keeping where the sources are: %w", err)
	}
	s.dirty = false
	return nil
}

// of is the state of one source.
func (s *states) of(name string) *state { return &state{s, name} }

// state implements source.State.
type state struct {
	all  *states
	name string
}

// Load implements source.State.
func (s *state) Load() []byte { return s.all.bySort[s.name] }

// Save implements source.State.
func (s *state) Save(data []byte) {
	if s.all.bySort == nil {
		s.all.bySort = map[string][]byte{}
	}
	if !bytes.Equal(s.all.bySort[s.name], data) {
		s.all.bySort[s.name], s.all.dirty = data, true
	}
}
