package agent_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
)

func TestWhatIsAskedWronglyOfIncidentsIsRefused(t *testing.T) {
	h := newHost(t)
	client := agent.NewClient(filepath.Join(h.dir, "state", "control.sock"))
	running, _, stop := h.start()
	defer stop()
	h.until("the agent to be ready", func() bool { got := running.Health(t.Context()); return got.Ready && got.Control != "" })
	tests := map[string]struct {
		method, path string
		body         any
		status       int
		text         string
	}{
		"no such incident":           {http.MethodGet, "/v1/incidents/01ABC", nil, http.StatusNotFound, "no such incident"},
		"latest where there is none": {http.MethodGet, "/v1/incidents/latest", nil, http.StatusNotFound, "there was none in the last 90 days"},
		"records of none":            {http.MethodGet, "/v1/incidents/01ABC/records", nil, http.StatusNotFound, "no such incident"},
		"records after nothing":      {http.MethodGet, "/v1/incidents/01ABC/records?after=x", nil, http.StatusBadRequest, "after is no position"},
		"closing none":               {http.MethodPost, "/v1/incidents/01ABC/close", agent.CloseRequest{}, http.StatusNotFound, "no such incident"},
		"force without a reason":     {http.MethodPost, "/v1/incidents/01ABC/close", agent.CloseRequest{Force: true, Reason: " "}, http.StatusBadRequest, "force needs a reason"},
		"a reason of two lines":      {http.MethodPost, "/v1/incidents/01ABC/close", agent.CloseRequest{Reason: "a\nb"}, http.StatusBadRequest, "want a reason of one line"},
		"a reason without end":       {http.MethodPost, "/v1/incidents/01ABC/close", agent.CloseRequest{Reason: strings.Repeat("a", 301)}, http.StatusBadRequest, "want a reason of one line"},
		"a body that is none":        {http.MethodPost, "/v1/incidents/01ABC/close", []int{1}, http.StatusBadRequest, "reading the request"},
	}
	for name, tt := range tests {
		err := client.Call(t.Context(), tt.method, tt.path, tt.body, nil)
		refused, ok := errors.AsType[*agent.RefusedError](err)
		if !ok || refused.Status != tt.status || !strings.Contains(refused.Text, tt.text) {
			t.Errorf("%s: got %v, want %d with %q", name, err, tt.status, tt.text)
		}
	}
}
