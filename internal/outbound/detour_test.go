package outbound_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/windsock-monitor/windsock/internal/outbound"
)

func TestADetourGetsNoSecret(t *testing.T) {
	got := make(chan http.Header, 1)
	far := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Clone() }))
	t.Cleanup(far.Close)
	network, err := outbound.New(outbound.Options{
		HTTPProxy: "http://127.0.0.1:1", HTTPSProxy: "http://127.0.0.1:1",
		Detour: &outbound.Detour{
			Resolve: func(context.Context, string) error { return nil },
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, far.Listener.Addr().String())
			},
			Authorization: []string{"Bearer drill"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	send := map[string]func(header http.Header) error{
		"a check": func(header http.Header) error {
			answer, err := network.Open(t.Context(), outbound.Request{Method: http.MethodGet, URL: "http://api.example/v1/models", Header: header})
			if err == nil {
				err = answer.Body.Close()
			}
			return err
		},
		"a client": func(header http.Header) error {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/v1/models", http.NoBody)
			if err != nil {
				return err
			}
			req.Header = header
			answer, err := network.Client().Do(req)
			if err == nil {
				err = answer.Body.Close()
			}
			return err
		},
	}
	for name, ask := range send {
		for value, want := range map[string]bool{"Bearer drill": true, "Bearer canary": false, "Basic canary": false} {
			err := ask(http.Header{
				"Authorization": {value}, "X-Api-Key": {"canary"}, "Cookie": {"canary"}, "Proxy-Authorization": {"canary"}, "Content-Type": {"application/json"},
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			header := <-got
			if sent := slices.Contains(header.Values("Authorization"), value); sent != want {
				t.Errorf("%s: %q was sent: %t, want %t", name, value, sent, want)
			}
			for key, values := range header {
				if slices.Contains(values, "canary") {
					t.Errorf("%s: %s was sent", name, key)
				}
			}
			if header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: the content type was not sent: %v", name, header)
			}
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	far := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Cleanup(far.Close)
	network, err := outbound.New(outbound.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(network.Close)
	b.ReportAllocs()
	for b.Loop() {
		answer, err := network.Open(b.Context(), outbound.Request{Method: http.MethodGet, URL: far.URL, Reuse: true})
		if err != nil {
			b.Fatal(err)
		}
		_ = answer.Body.Close()
	}
}
