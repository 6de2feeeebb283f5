package heartbeat_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/heartbeat"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func newNetwork(t *testing.T) *outbound.Network {
	t.Helper()
	network, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	return network
}

// The real way out, and what receivers answer. A redirect is not followed: its target would learn the address.
func TestOnlyA2xxIsTaken(t *testing.T) {
	t.Parallel()
	const token = "/canary-0123456789"
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the target of the redirect was asked %s", r.URL)
	}))
	t.Cleanup(elsewhere.Close)
	page := func(w http.ResponseWriter, status int, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<html><h1>%s</h1>%s</html>", r.URL, strings.Repeat("<p>x</p>", 1<<16))
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string // in the error; "" is taken
	}{
		"200":            {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") }, ""},
		"204":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, ""},
		"200 and a page": {func(w http.ResponseWriter, r *http.Request) { page(w, http.StatusOK, r) }, ""},
		"301": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusMovedPermanently)
		}, "answered 301 Moved Permanently, want 2xx; redirects are not followed"},
		"401":                  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "answered 401 Unauthorized, want 2xx; the address has no other value"},
		"404 that repeats it":  {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no "+r.URL.String(), http.StatusNotFound) }, "answered 404 Not Found"},
		"500 and a page":       {func(w http.ResponseWriter, r *http.Request) { page(w, http.StatusInternalServerError, r) }, "answered 500 Internal Server Error"},
		"nothing":              {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer: "},
		"the end of the line":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no answer: "},
		"a header without end": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "no answer: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Method + " " + r.URL.Path
				tt.answer(w, r)
			}))
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if name == "nothing" {
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			set := heartbeat.Settings{URL: checks.NewSecret(&source{value: server.URL + token}), Way: newNetwork(t)}
			err := set.Send(ctx)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want it taken", err)
			case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "<")):
				t.Errorf("got %v, want %q and nothing of the address or the page", err, tt.want)
			}
			if got := <-asked; got != "GET "+token {
				t.Errorf("asked %q", got)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	set := heartbeat.Settings{URL: checks.NewSecret(&source{value: server.URL + "/canary-0123456789"}), Way: newNetwork(t)}
	if err := set.Send(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func TestAnAddressThatIsNoneIsPlacedAndNotShown(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "canary", "ftp://canary.example/x", "https://", "https:///canary", "https://canary:canary@ping.example/x", "http://[canary", "https://ping.example/canary\n"} {
		w := &world{answer: always(200)}
		set := w.settings(&source{value: value}, time.Minute)
		set.Place = func(err error) error { return fmt.Errorf("schedules.yaml:3:18: %w", err) }
		err := set.Send(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "schedules.yaml:3:18: the url: ") || strings.Contains(err.Error(), "canary") || len(w.tries()) > 0 {
			t.Errorf("%q: got %v after %d tries", value, err, len(w.tries()))
		}
	}
}
