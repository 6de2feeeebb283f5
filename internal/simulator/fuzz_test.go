package simulator_test

import (
	"net/http"
	"testing"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

// Whatever is sent, there is an answer, and only what was answered is billed.
func FuzzRequests(f *testing.F) {
	f.Add("/v1/chat/completions", ping)
	f.Add("/v1/chat/completions", talk)
	f.Add("/v1/chat/completions", `{"model":"mistral-small-latest","messages":[{"role":"user","content":[{"type":"text","text":"reply with \"x\""}]}],"reasoning_effort":"high","max_tokens":1}`)
	f.Add("/v1/chat/completions", `{"model":"mistral-small-latest","messages":[{}],"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object","properties":{"a":{"type":"array","items":{"const":{}}},"b":{"enum":[[],{}]}}}}}}`)
	f.Add("/v1/embeddings", embed)
	f.Add("/v1/embeddings", `{"model":"codestral-embed","input":["a","b"],"output_dimension":3}`)
	f.Add("/admin/faults", `{"status":500,"key":"k","headers":{"A":"b"},"quota":{"requests_per_minute":1}}`)
	f.Add("/admin/keys", `{"revoke":"x"}`)
	f.Fuzz(func(t *testing.T, path, body string) {
		switch path {
		case "/v1/chat/completions", "/v1/embeddings", "/admin/faults", "/admin/keys":
		default:
			return
		}
		s := simulator.New(simulator.Options{})
		got := ask(s, http.MethodPost, path, body)
		if got.Code < 200 || got.Code > 499 {
			t.Errorf("status %d", got.Code)
		}
		if billed := s.Stats().Total.Calls; billed > 0 != (got.Code == http.StatusOK) {
			t.Errorf("status %d, and %d calls billed", got.Code, billed)
		}
	})
}
