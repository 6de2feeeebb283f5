package mistral_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// canned answers at once, without a network.
type canned struct {
	header http.Header
	body   string
}

func (c canned) Open(context.Context, outbound.Request) (*outbound.Response, error) {
	return &outbound.Response{
		Status: http.StatusOK, Header: c.header, Proto: "HTTP/1.1", Body: cannedBody{strings.NewReader(c.body)},
	}, nil
}

type cannedBody struct{ io.Reader }

func (cannedBody) Close() error              { return nil }
func (cannedBody) Timings() outbound.Timings { return outbound.Timings{} }

type fixedKey string

func (k fixedKey) Read(context.Context) (string, error) { return string(k), nil }
func (fixedKey) Renew(context.Context) (bool, error)    { return false, nil }
func (fixedKey) Where() string                          { return "a test" }

// BenchmarkChat is what a call costs beside its exchange.
func BenchmarkChat(b *testing.B) {
	const single = `{"id":"b5a1f0c4d2e84f0f9e0f5a3f6a1c0001","object":"chat.completion","created":1767225600,` +
		`"model":"mistral-small-latest","choices":[{"index":0,"message":{"role":"assistant","tool_calls":null,"content":"pong"},` +
		`"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2}}`
	header := http.Header{
		"Content-Type": {"application/json"}, "Mistral-Correlation-Id": {"019a0c5e-7c2d-7f00-9f0a-8d8f5f7a0001"},
		"X-Ratelimit-Limit-Req-Minute": {"360"}, "X-Ratelimit-Remaining-Req-Minute": {"359"},
		"X-Ratelimit-Limit-Tokens-Minute": {"500000"}, "X-Ratelimit-Remaining-Tokens-Minute": {"499000"},
		"X-Envoy-Upstream-Service-Time": {"12"},
	}
	for name, request := range map[string]struct {
		body   string
		stream bool
	}{
		"single": {single, false},
		"stream": {"data: " + strings.Replace(single, "message", "delta", 1) + "\n\ndata: [DONE]\n\n", true},
	} {
		b.Run(name, func(b *testing.B) {
			client, err := mistral.New(mistral.Options{
				BaseURL: "https://api.mistral.ai", APIKey: checks.NewSecret(fixedKey("a-key-of-thirty-two-bytes-length")),
				Out: canned{header, request.body},
			})
			if err != nil {
				b.Fatal(err)
			}
			ask := mistral.ChatRequest{
				Model: "mistral-small-latest", MaxTokens: 16, Stream: request.stream,
				Messages: []mistral.Message{{Role: "user", Content: "Reply with the single word: pong"}},
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, call := client.Chat(b.Context(), ask); !call.OK() {
					b.Fatal(call.Summary)
				}
			}
		})
	}
}
