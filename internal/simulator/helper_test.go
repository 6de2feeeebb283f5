package simulator_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

const testKey = "sim-key-0123456789"

// running is a simulator on a real listener, with a client that keeps no connection and follows no redirect.
type running struct {
	*simulator.Server
	url    string
	stop   context.CancelFunc
	ended  chan error
	client *http.Client
}

func start(t *testing.T, opts simulator.Options) *running {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{
		Server: simulator.New(opts), url: "http://" + l.Addr().String(), stop: stop, ended: make(chan error, 1),
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	go func() { r.ended <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-r.ended; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
		r.client.CloseIdleConnections()
	})
	return r
}

// reply is an answer as it came off the wire.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (r *running) send(t *testing.T, method, path, key, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return r.client.Do(req)
}

func (r *running) do(t *testing.T, method, path, key, body string) reply {
	t.Helper()
	resp, err := r.send(t, method, path, key, body)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, data, err}
}

func (r *running) models(t *testing.T) reply {
	t.Helper()
	return r.do(t, http.MethodGet, "/v1/models", testKey, "")
}

func (r *running) chat(t *testing.T, body string) reply {
	t.Helper()
	return r.do(t, http.MethodPost, "/v1/chat/completions", testKey, body)
}

func (r *running) embed(t *testing.T, body string) reply {
	t.Helper()
	return r.do(t, http.MethodPost, "/v1/embeddings", testKey, body)
}

func (r *running) apply(t *testing.T, f simulator.Fault) {
	t.Helper()
	if err := r.Apply(f); err != nil {
		t.Fatal(err)
	}
}

const (
	ping       = `{"model":"mistral-small-latest","messages":[{"role":"user","content":"Reply with pong."}],"max_tokens":16}`
	pingStream = `{"model":"mistral-small-latest","messages":[{"role":"user","content":"Reply with pong."}],"max_tokens":16,"stream":true}`
	talk       = `{"model":"mistral-small-latest","messages":[{"role":"user","content":"How is the weather?"}],"stream":true}`
	embed      = `{"model":"mistral-embed","input":"one text"}`
)

// at reads a value out of JSON: at(t, body, "choices", 0, "message").
func at(t *testing.T, body []byte, path ...any) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("%q has no object at %v", body, path)
			}
			v = object[step]
		case int:
			list, ok := v.([]any)
			if !ok || step >= len(list) {
				t.Fatalf("%q has no item at %v", body, path)
			}
			v = list[step]
		}
	}
	return v
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if n, ok := want.(int); ok {
		if f, ok := got.(float64); ok {
			got, want = f, float64(n)
		}
	}
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// frames splits a stream into its data lines.
func frames(t *testing.T, body []byte) []string {
	t.Helper()
	var out []string
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			out = append(out, data)
		} else if lines.Text() != "" {
			t.Errorf("line %q is no data line", lines.Text())
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return out
}
