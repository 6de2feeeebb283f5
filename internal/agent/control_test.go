package agent_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// A program that the agent runs is of its user, and so can connect to its socket: only who can read the token is heard.
func TestTheControlSocketWantsItsToken(t *testing.T) {
	h := newHost(t)
	socket, token := filepath.Join(h.dir, "state", "control.sock"), filepath.Join(h.dir, "state", "control.token")
	client := agent.NewClient(socket)
	list := func() error { return client.Call(t.Context(), http.MethodGet, "/v1/alerts", nil, nil) }
	begin := func() (text string, stop func()) {
		running, _, stop := h.start()
		h.until("the control socket", func() bool { return running.Health(t.Context()).Control != "" })
		written, err := os.ReadFile(token)
		if err != nil {
			t.Fatal(err)
		}
		return string(written), stop
	}
	first, stop := begin()
	if err := list(); err != nil {
		t.Errorf("with the token: got %v", err)
	}
	if st, err := os.Stat(token); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("got the mode %v, %v, want 0640", st, err)
	}
	for name, header := range map[string]string{"none": "", "another": "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAA", "no word before it": strings.TrimSpace(first), "an empty one": "Bearer "} {
		if status := ask(t, socket, header); status != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want 401", name, status)
		}
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if err := list(); err == nil || !strings.Contains(err.Error(), "control.token") || !strings.Contains(err.Error(), "ask as root") {
		t.Errorf("without the file: got %v, want to be told of it", err)
	}
	if err := os.WriteFile(token, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if refused, ok := errors.AsType[*agent.RefusedError](list()); !ok || refused.Status != http.StatusUnauthorized || !strings.Contains(refused.Text, "control.token") {
		t.Errorf("with another token: got %v, want it refused", refused)
	}
	stop()
	second, _ := begin()
	if first == second {
		t.Error("the token is that of the agent before")
	}
	if err := list(); err != nil {
		t.Errorf("after a restart: got %v", err)
	}
}

func ask(t *testing.T, socket, header string) int {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://agent/v1/alerts", nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		req.Header.Set("Authorization", header)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
