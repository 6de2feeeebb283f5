package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"time"
)

// Stats returns a copy of the counts so far.
func (s *Server) Stats() Stats {
	phase := s.Phase()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.snapshot(phase)
}

// counts is what Stats is made of. The server's mutex guards it.
type counts struct {
	requests map[string]map[string]int64
	billed   map[string]Billed
	keys     map[string]KeyStats
}

func newCounts() counts {
	return counts{requests: map[string]map[string]int64{}, billed: map[string]Billed{}, keys: map[string]KeyStats{}}
}

// Stats is what the Server did since it was made or reset.
type Stats struct {
	Phase    string                      `json:"phase"`
	Requests map[string]map[string]int64 `json:"requests"` // by route ("other" for paths that are none), then by status; "reset" where no header was sent
	Billed   map[string]Billed           `json:"billed"`   // by the model's canonical id
	Total    Billed                      `json:"total"`
	Keys     map[string]KeyStats         `json:"keys"` // by fingerprint, never by key; "none" without one
}

// Billed is what an account would be charged for. A call that failed costs nothing; one that broke off costs what it had
// produced.
type Billed struct {
	Calls            int64 `json:"calls"`
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
}

func (b Billed) plus(c Billed) Billed {
	return Billed{b.Calls + c.Calls, b.PromptTokens + c.PromptTokens, b.CompletionTokens + c.CompletionTokens}
}

// KeyStats is what one key did.
type KeyStats struct {
	Requests int64  `json:"requests"`
	Refused  int64  `json:"refused"` // with 401
	Billed   Billed `json:"billed"`
}

func (c *counts) snapshot(phase string) Stats {
	out := Stats{Phase: phase, Requests: map[string]map[string]int64{}, Billed: maps.Clone(c.billed), Keys: maps.Clone(c.keys)}
	for route, byStatus := range c.requests {
		out.Requests[route] = maps.Clone(byStatus)
	}
	for _, b := range c.billed {
		out.Total = out.Total.plus(b)
	}
	return out
}

// count books one answered request.
func (s *Server) count(route, status, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.requests[route] == nil {
		s.stats.requests[route] = map[string]int64{}
	}
	s.stats.requests[route][status]++
	k := s.stats.keys[keyName(key)]
	k.Requests++
	if status == "401" {
		k.Refused++
	}
	s.stats.keys[keyName(key)] = k
}

// bill books what a call used.
func (s *Server) bill(name, key string, used Billed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.billed[name] = s.stats.billed[name].plus(used)
	k := s.stats.keys[keyName(key)]
	k.Billed = k.Billed.plus(used)
	s.stats.keys[keyName(key)] = k
	s.tokens.roll(time.Now(), s.minute())
	s.tokens.used += used.PromptTokens + used.CompletionTokens
}

func keyName(key string) string {
	if key == "" {
		return "none"
	}
	return Fingerprint(key)
}

func (s *Server) minute() time.Duration { return time.Duration(float64(time.Minute) / s.speed) }

// Fingerprint names a key, as Stats does, without giving it away.
func Fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "key_" + hex.EncodeToString(sum[:6])
}

func asFingerprint(key string) string {
	if len(key) == len("key_")+12 && key[:4] == "key_" {
		return key
	}
	return Fingerprint(key)
}
