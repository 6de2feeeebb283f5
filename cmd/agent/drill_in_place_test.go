package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/drill"
)

// Whoever is interrupted before the agent has answered stops the drill that it asked for, and nobody else's.
func TestADrillThatBeginsUnheardIsStopped(t *testing.T) {
	t.Parallel()
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		scenario string
		began    time.Duration // from now
		stopped  bool
		want     string
	}{
		"it is ours":            {all[0].Name, time.Second, true, "was stopped, and what it opened is resolved"},
		"it is another":         {"other", time.Second, false, "interrupted before the drill"},
		"it is one from before": {all[0].Name, -time.Minute, false, "interrupted before the drill"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			deleted := false
			client := controlled(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Method {
				case http.MethodPost:
					cancel()
					<-r.Context().Done()
				case http.MethodDelete:
					deleted = true
					_, _ = w.Write([]byte("{}"))
				default:
					_ = json.NewEncoder(w).Encode(agent.DrillState{Scenario: tt.scenario, BeganAt: time.Now().Add(tt.began)})
				}
			}))
			_, _, err := inPlace{}.one(ctx, client, &all[0])
			if err == nil || !strings.Contains(err.Error(), tt.want) || deleted != tt.stopped {
				t.Errorf("got %v, stopped %v; want %q, %v", err, deleted, tt.want, tt.stopped)
			}
		})
	}
}

// controlled is a client of a control socket with this behind it.
func controlled(t *testing.T, h http.Handler) *agent.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "drill") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "control.token"), []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	socket, err := net.Listen("unix", path) //nolint:noctx // of the test
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(socket) }()
	return agent.NewClient(path)
}
