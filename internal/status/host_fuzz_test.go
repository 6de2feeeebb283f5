package status_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/status"
)

// FuzzHost: a Host that is neither an address nor this host's own name gets no page, whatever its spelling.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"127.0.0.1:9188", "localhost", "[::1]:1", "evil.example", "127.0.0.1.evil.example", "[", "]:", "localhost:x", "LOCALHOST.", ""} {
		f.Add(host, "/health")
	}
	handler := status.New("127.0.0.1:9188", &fakeAgent{alive: true}, slog.New(slog.DiscardHandler)).Handler()
	f.Fuzz(func(t *testing.T, host, path string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		req.Host = host
		req.URL.Path = "/" + strings.TrimPrefix(path, "/")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, req)
		name := strings.ToLower(host)
		own := strings.Contains(name, "localhost") || strings.Contains(name, "127.0.0.1")
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err != nil && !strings.Contains(name, ":") && !own && answer.Code != http.StatusMisdirectedRequest {
			t.Errorf("host %q got %d", host, answer.Code)
		}
	})
}
