package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/host"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/store"
)

// control serves the control socket until ctx ends. Without one the agent runs all the same, and tries again.
func (a *Agent) control(ctx context.Context) {
	if dir := a.runtimeDir(); dir != "" && !isDir(dir) {
		a.o.Log.Warn("the runtime directory is not there: the control socket is in the state directory", "dir", dir, "hint", "RuntimeDirectory="+filepath.Base(dir)+" in the unit makes it, where /run can be written")
	}
	listener, token, err := a.openControl(ctx)
	if err != nil {
		level := slog.LevelWarn
		if !a.store.Health().OK { // the same directory most often, and told with the way out
			level = slog.LevelInfo
		}
		a.o.Log.Log(ctx, level, "control socket not open, trying again; `windsock check`, `alerts`, `incident` and `plugins` cannot reach this agent until then",
			"error", err, "hint", a.controlWayOut(err))
	}
	again := time.NewTicker(controlAgain)
	defer again.Stop()
	for err != nil {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			listener, token, err = a.openControl(ctx)
		}
	}
	a.o.Log.Debug("control socket open", "path", listener.Addr().String())
	a.mu.Lock()
	a.socket = listener.Addr().String()
	a.mu.Unlock()
	server := &http.Server{
		Handler: withToken(token, a.controlRoutes()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerOf(c))
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		a.o.Log.Error("control socket ended", "error", err)
	}
}

// runtimeDir is the directory that systemd has made for the agent, or should have; "" where nobody should.
func (a *Agent) runtimeDir() string {
	if dirs := filepath.SplitList(a.o.Getenv("RUNTIME_DIRECTORY")); len(dirs) > 0 {
		return dirs[0]
	}
	if unit := Unit(a.o.Config.Path); unit != "" && a.o.Getenv("NOTIFY_SOCKET") != "" {
		return filepath.Join("/run", unit)
	}
	return ""
}

// controlWayOut is what to do about a socket that could not be opened, as far as owners and modes explain it.
func (a *Agent) controlWayOut(err error) string {
	path, unknown := ControlPath(a.o.Config, a.o.Getenv)
	if unknown != nil {
		return unknown.Error()
	}
	if way := host.StateWayOut(filepath.Dir(path), err); way != "" {
		return way
	}
	return "`ls -la " + filepath.Dir(path) + "` shows what is in the way"
}

// openControl listens, and writes the token that a request has to carry.
func (a *Agent) openControl(ctx context.Context) (listener net.Listener, token string, err error) {
	path, err := ControlPath(a.o.Config, a.o.Getenv)
	if err != nil {
		return nil, "", err
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
		return nil, "", errors.Join(fmt.Errorf("another agent listens on %q", path), conn.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("removing the old socket: %w", err)
	}
	if token, err = writeToken(tokenPath(path)); err != nil {
		return nil, "", fmt.Errorf("writing the token of the socket: %w", err)
	}
	listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, "", fmt.Errorf("listening: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil { //nolint:gosec // the group may use it: that is how operators are let in
		return nil, "", errors.Join(fmt.Errorf("opening the socket to its group: %w", err), listener.Close())
	}
	return listener, token, nil
}

// tokenPath is the file of the token, beside the socket. A program that the agent runs is of the same user and can connect
// to the socket, whatever walls it has; this file it cannot read.
func tokenPath(socket string) string { return filepath.Join(filepath.Dir(socket), "control.token") }

// writeToken makes a new token. Who reads the file sees the old one or all of the new one.
func writeToken(path string) (string, error) {
	token := rand.Text()
	file, err := os.CreateTemp(filepath.Dir(path), ".control.token-*")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(token + "\n")
	err = errors.Join(err, store.GiveAway(file), file.Chmod(0o640), file.Close()) // the group's, as the socket
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return token, nil
}

// controlAgain is how long after a try to open the control socket the next one is made.
const controlAgain = 15 * time.Second

// bearer begins the value of the header Authorization.
const bearer = "Bearer "

// withToken lets requests pass that carry the token.
func withToken(token string, next http.Handler) http.Handler {
	want := []byte(bearer + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "the request does not carry this agent's token, which is in control.token beside the socket", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// peerKey is where a request's context has the name of who asks.
type peerKey struct{}

// peerOf is a name for who asks: "uid 1000".
func peerOf(c net.Conn) (name string) {
	name = "somebody"
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return name
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return name
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			name = fmt.Sprintf("uid %d", peer.Uid)
		}
	})
	return name
}

func (a *Agent) controlRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/checks/{name}/run", a.byHand(a.runByHand))
	mux.HandleFunc("GET /v1/rollout", a.serveRollout)
	mux.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, a.Health(r.Context())) })
	mux.HandleFunc("GET /v1/alerts", a.listAlerts)
	mux.HandleFunc("POST /v1/alerts/ack", a.byHand(a.ackAlert))
	mux.HandleFunc("POST /v1/silences", a.byHand(a.silence))
	mux.HandleFunc("DELETE /v1/silences/{id}", a.byHand(a.endSilence))
	mux.HandleFunc("POST /v1/store/compact", a.compact)
	a.incidentRoutes(mux)
	a.drillRoutes(mux)
	mux.HandleFunc("GET /v1/plugins", a.plugins.serveList)
	mux.HandleFunc("POST /v1/plugins/{name}/restart", a.byHand(a.plugins.serveRestart))
	return mux
}

// byHand serves what changes the agent, while it is not stopping, and waits for that at the end. Who asked is logged.
func (a *Agent) byHand(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.o.Log.Info("control request", "peer", r.Context().Value(peerKey{}), "method", r.Method, "path", r.URL.Path)
		if why := a.enterByHand(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		defer a.hand.Done()
		serve(w, r)
	}
}

// mostBody is how much a request may hold.
const mostBody = 64 << 10

// readBody decodes what was asked, and answers itself where it cannot.
func readBody(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = errors.New("there is more than one value")
	}
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, "reading the request: "+err.Error(), status)
	return false
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// enterByHand takes part in the shutdown's waiting; where the agent has not come so far, or stops, it says so.
func (a *Agent) enterByHand() (why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining:
		return "the agent is stopping"
	case !a.ready:
		return "the agent is starting: ask again in a moment"
	}
	a.hand.Add(1)
	return ""
}

// runByHand makes one run, for the reason that is given: manual without any.
func (a *Agent) runByHand(w http.ResponseWriter, r *http.Request) {
	why := cmp.Or(checks.Trigger(r.URL.Query().Get("trigger")), checks.TriggerManual)
	if !slices.Contains([]checks.Trigger{checks.TriggerManual, checks.TriggerGate, checks.TriggerDrill}, why) {
		http.Error(w, fmt.Sprintf("trigger %q, want manual, gate or drill", why), http.StatusBadRequest)
		return
	}
	report, err := a.pipeline.Once(r.Context(), r.PathValue("name"), why)
	if _, busy := errors.AsType[*pipeline.BusyError](err); busy {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, checks.OfReport(report))
}
