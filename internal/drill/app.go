package drill

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// application is the team's application as its check sees it: well, until a fault says otherwise.
type application struct {
	services []string       // entries of its health
	status   map[string]int // of good answers of its chat routes, by path

	mu   sync.Mutex // guards sick
	sick SickApp
}

func (a *application) fall(sick SickApp) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sick = sick
}

// ServeHTTP implements http.Handler.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	sick := a.sick
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	isChat := r.Method == http.MethodPost
	switch {
	case sick.Status != 0:
		w.WriteHeader(sick.Status)
	case isChat && a.status[r.URL.Path] != 0:
		w.WriteHeader(a.status[r.URL.Path])
	}
	if isChat {
		answer := map[string]any{"reply": "pong"}
		if sick.Status >= http.StatusBadRequest {
			answer = map[string]any{"error": "the drill has this application fail"}
		}
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	word := healthy
	if sick.Health != "" {
		word = sick.Health
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	services := map[string]any{}
	for _, name := range a.services {
		services[name] = map[string]any{"status": word, "latencyMs": 120, "timestamp": now}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": word, "timestamp": now, "services": services})
}

// statusPage is a provider's status page on a good day.
func statusPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"page":   map[string]any{"name": "drill", "status": "UP"},
		"status": map[string]any{"indicator": "none", "description": "All systems operational"}, "incidents": []any{},
	})
}
