package mistral_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// FuzzAnswers: whatever an API answers with, every call ends with one cause of the table and text that can be printed.
func FuzzAnswers(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Status, s.Body)
	}
	f.Add(200, `{"object":"list","data":[{"id":"m","aliases":["a"],"deprecation":"2026-12-01","capabilities":{"completion_chat":1}}]}`)
	f.Add(200, `{"object":"list","data":[{"id":1,"aliases":{"a":null},"max_context_length":1e309}]}`)
	f.Add(200, `{"id":"x","model":"m","choices":[{"message":{"content":[{"type":"thinking","thinking":[{"text":"t"}]},{"type":"text","text":"pong"}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":"5"}}`)
	f.Add(200, "data: {\"choices\":[{\"delta\":{\"content\":\"p\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"total_tokens\":-1}}\n\ndata: [DONE]\n\n")
	f.Add(200, `{"object":"list","data":[{"embedding":[0.1,-1e309],"index":0}],"usage":{}}`)
	f.Add(200, `{"a":{"a":{"a":{"a":{"a":{}}}}},"a":1,"data":"\ud800"}`)
	var mu sync.Mutex
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	f.Cleanup(server.Close)
	network, err := outbound.New(outbound.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(network.Close)
	c, err := mistral.New(mistral.Options{
		BaseURL: server.URL, APIKey: checks.NewSecret(&source{value: canary}), Out: network, ReuseConnections: true,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code int, text string) {
		if code < 200 || code > 599 {
			return
		}
		mu.Lock()
		status, body = code, text
		mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, list := c.Models(ctx)
		_, plain := c.Chat(ctx, ping(false))
		_, stream := c.Chat(ctx, ping(true))
		_, numbers := c.Embed(ctx, mistral.EmbedRequest{Model: "mistral-embed", Input: []string{"a"}})
		for name, got := range map[string]struct {
			cause   checks.Cause
			summary string
		}{
			"models": {list.Cause, list.Summary}, "chat": {plain.Cause, plain.Summary}, "stream": {stream.Cause, stream.Summary},
			"embeddings": {numbers.Cause, numbers.Summary},
		} {
			if _, known := got.cause.Info(); got.cause != checks.CauseNone && !known || !utf8.ValidString(got.summary) {
				t.Errorf("%s: cause %q, summary %q", name, got.cause, got.summary)
			}
			if got.cause == checks.CauseNone && code >= 300 {
				t.Errorf("%s: a %d is well", name, code)
			}
		}
	})
}
