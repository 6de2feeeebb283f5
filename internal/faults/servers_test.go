package faults_test

import (
	"crypto/tls"
	"fmt"
	"log" //nolint:depguard // net/http wants one
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// secure is the URL of an HTTPS server with such a certificate.
func secure(t *testing.T, ca *outboundtest.CA, validity outboundtest.Validity, host string) string {
	t.Helper()
	return serveTLS(t, ca.Config(t, validity, host))
}

func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener := tls.NewListener(agenttest.Listener(t, "127.0.0.1:0"), config)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.NotFoundHandler(), ErrorLog: quiet()}}
	server.Start()
	t.Cleanup(server.Close)
	return "https://" + listener.Addr().String()
}

// inventor is an API that names a hundred new models with every list, and answers chats as another model each time.
type inventor struct {
	address string

	mu   sync.Mutex // guards the rest
	n    int
	seen map[string]bool
}

func newInventor(t *testing.T) *inventor {
	t.Helper()
	v := &inventor{seen: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", v.list)
	mux.HandleFunc("POST /v1/chat/completions", v.chat)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	v.address = strings.TrimPrefix(server.URL, "http://")
	return v
}

func (v *inventor) name() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.n++
	name := fmt.Sprintf("invented-%d", v.n)
	v.seen[name] = true
	return name
}

func (v *inventor) names() map[string]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.seen)
}

func (v *inventor) list(w http.ResponseWriter, _ *http.Request) {
	var cards []string
	for range 100 {
		name := v.name()
		cards = append(cards, fmt.Sprintf(`{"id":%q,"object":"model","name":%q,"aliases":[%q],"deprecation":"2031-01-01T00:00:00Z","capabilities":{"completion_chat":true}}`,
			name, name, name+"-latest"))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"object":"list","data":[%s]}`, strings.Join(cards, ","))
}

func (v *inventor) chat(w http.ResponseWriter, _ *http.Request) {
	name := v.name()
	w.Header().Set("X-Request-Id", "request-"+name)
	if len(name)%2 == 0 {
		http.Error(w, `{"message":"says no to `+name+`"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":"request-%s","object":"chat.completion","model":%q,"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"pong"}}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}`, name, name)
}

func quiet() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) }

// door is an API that knows which key is good, and remembers every key it was shown.
type door struct {
	address string

	mu    sync.Mutex // guards the rest
	good  map[string]bool
	ever  map[string]bool
	shown map[string]int
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{good: map[string]bool{}, ever: map[string]bool{}, shown: map[string]int{}}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.address = strings.TrimPrefix(server.URL, "http://")
	return d
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	d.mu.Lock()
	d.shown[key]++
	good := d.good[key]
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !good {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"detail":"Unauthorized"}`)
		return
	}
	fmt.Fprint(w, `{"object":"list","data":[{"id":"mistral-small-latest","object":"model"}]}`)
}

// accept makes a key the only good one.
func (d *door) accept(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.good = map[string]bool{key: true}
	d.ever[key] = true
}

func (d *door) count(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown[key]
}

// strangers are the keys that were shown and never were good.
func (d *door) strangers() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for key := range d.shown {
		if !d.ever[key] {
			out = append(out, key)
		}
	}
	return out
}

// config is forty checks a second at the door.
func (d *door) config(w *world, key string) string {
	var c strings.Builder
	for i := range 40 {
		fmt.Fprintf(&c, "  - {name: load-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms, with: {}}\n", i)
	}
	return fmt.Sprintf("listen: %s\ngrace: 3s\nproviders: {mistral: {base_url: \"http://%s\", api_key: %s, breaker: {failures: 1000, reset: 60s}}}\nchecks:\n%sexporters: [{name: lines, kind: stdout, with: {format: json}}]\n",
		w.Listen, d.address, key, c.String())
}
