package golden

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// memory is what a check keeps between its runs: how far it went round, and the last score of each question.
type memory struct {
	Last   string             `json:"last"`   // id of the question that was asked last
	Place  int                `json:"place"`  // its place, for when it is gone from the set
	Scores map[string]float64 `json:"scores"` // by Question.key, rounded
}

// recall reads the memory. What cannot be understood, because another version wrote it, is as nothing.
func recall(ctx context.Context, kept checks.Memory) (*memory, error) {
	m := &memory{Place: -1}
	if kept != nil {
		data, err := kept.Load(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading what was kept of the run before: %w", err)
		}
		if len(data) > 0 && json.Unmarshal(data, m) != nil {
			m = &memory{Place: -1}
		}
	}
	if m.Scores == nil {
		m.Scores = map[string]float64{}
	}
	return m, nil
}

// pick is the next n questions, going round.
func (m *memory) pick(set []Question, n int) []Question {
	start := slices.IndexFunc(set, func(q Question) bool { return q.ID == m.Last }) + 1
	if start == 0 {
		start = max(m.Place, 0) // the one behind it moved up
	}
	n = min(n, len(set))
	picked := make([]Question, 0, n)
	for i := range n {
		picked = append(picked, set[(start+i)%len(set)])
	}
	return picked
}

// note keeps what came of a question.
func (m *memory) note(set []Question, q *Question, score float64) {
	m.Last = q.ID
	m.Place = slices.IndexFunc(set, func(other Question) bool { return other.ID == q.ID })
	m.Scores[q.key()] = math.Round(score*1e4) / 1e4
}

// whole is the score of the whole set by the last word on each question, and the share of the set that there is one on.
func (m *memory) whole(set []Question) (score, known float64) {
	var sum, weights float64
	n := 0
	for i := range set {
		if s, ok := m.Scores[set[i].key()]; ok {
			sum += s * set[i].weight()
			weights += set[i].weight()
			n++
		}
	}
	if n == 0 {
		return 0, 0
	}
	return sum / weights, float64(n) / float64(len(set))
}

// save keeps the memory, also when the time of the run is over. Questions that are no longer in the set are forgotten.
func (m *memory) save(ctx context.Context, kept checks.Memory, set []Question) error {
	if kept == nil {
		return nil
	}
	scores := map[string]float64{}
	for i := range set {
		if s, ok := m.Scores[set[i].key()]; ok {
			scores[set[i].key()] = s
		}
	}
	m.Scores = scores
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing what is kept of the run: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := kept.Save(ctx, data); err != nil {
		return fmt.Errorf("keeping what came of the run: %w", err)
	}
	return nil
}
