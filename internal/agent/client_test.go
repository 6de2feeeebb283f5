package agent_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// TestAnAgentThatIsStoppedHoldsNobodyUp: the kernel takes the connection of a process that is stopped, and nobody answers.
func TestAnAgentThatIsStoppedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "control.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	client := agent.NewClient(socket).Within(50 * time.Millisecond)
	err = client.Ask(t.Context(), http.MethodGet, "/v1/incidents", nil, nil)
	if silent, ok := errors.AsType[*agent.SilentError](err); !ok || silent.Waited != 50*time.Millisecond {
		t.Errorf("it says %v, want that the agent did not answer within 50ms", err)
	}
	err = client.EachRecord(t.Context(), "01M8", nil)
	if _, ok := errors.AsType[*agent.SilentError](err); !ok {
		t.Errorf("of the records it says %v, want that the agent did not answer", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = client.Ask(ctx, http.MethodGet, "/v1/incidents", nil, nil)
	if _, ok := errors.AsType[*agent.SilentError](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("where the caller gave up it says %v", err)
	}
}
