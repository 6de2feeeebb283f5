package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
)

// ControlPath is where the running agent listens for verbs that need it: control.sock in $RUNTIME_DIRECTORY, else in the
// state directory.
func ControlPath(cfg *config.Config, getenv func(string) string) (string, error) {
	if dir := getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(filepath.SplitList(dir)[0], "control.sock"), nil
	}
	dir, err := StateDir(cfg, getenv)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "control.sock"), nil
}

// control serves the control socket until ctx ends. Without one the agent runs all the same.
func (a *Agent) control(ctx context.Context) {
	listener, err := a.openControl(ctx)
	if err != nil {
		a.o.Log.Warn("control socket not open; `windsock check` cannot reach this agent", "error", err)
		return
	}
	a.mu.Lock()
	a.socket = listener.Addr().String()
	a.mu.Unlock()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/checks/{name}/run", a.runByHand)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			a.logPeer(c)
			return ctx
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		a.o.Log.Error("control socket ended", "error", err)
	}
}

func (a *Agent) openControl(ctx context.Context) (net.Listener, error) {
	path, err := ControlPath(a.o.Config, a.o.Getenv)
	if err != nil {
		return nil, err
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
		return nil, errors.Join(fmt.Errorf("another agent listens on %q", path), conn.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the old socket: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil { //nolint:gosec // the group may use it: that is how operators are let in
		return nil, errors.Join(fmt.Errorf("opening the socket to its group: %w", err), listener.Close())
	}
	return listener, nil
}

// logPeer notes who asks.
func (a *Agent) logPeer(c net.Conn) {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			a.o.Log.Info("control request", "uid", peer.Uid, "gid", peer.Gid, "pid", peer.Pid)
		}
	})
}

// enterByHand takes part in the shutdown's waiting; it reports false where that has begun.
func (a *Agent) enterByHand() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ready {
		return false
	}
	a.hand.Add(1)
	return true
}

func (a *Agent) runByHand(w http.ResponseWriter, r *http.Request) {
	if !a.enterByHand() {
		http.Error(w, "the agent is stopping", http.StatusServiceUnavailable)
		return
	}
	defer a.hand.Done()
	report, err := a.pipeline.Once(r.Context(), r.PathValue("name"), checks.TriggerManual)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(checks.OfReport(report))
}

// Ask has the running agent make one run by hand, through its own breaker, budget and store.
func Ask(ctx context.Context, socket, check string) (*checks.Report, error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent/v1/checks/"+check+"/run", nil)
	if err != nil {
		return nil, fmt.Errorf("asking the running agent: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the running agent: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the running agent's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the running agent refused: %s", body)
	}
	var record checks.Record
	if err := json.Unmarshal(body, &record); err != nil || record.Report == nil {
		return nil, fmt.Errorf("the running agent's answer is not a report: %w", err)
	}
	return record.Report, nil
}
