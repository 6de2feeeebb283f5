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
	listener := tls.NewListener(agenttest.Listener(t, "127.0.0.1:0"), ca.Config(t, validity, host))
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
