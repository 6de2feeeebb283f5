package embeddings_test

import (
	"net/http"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/embeddings"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// Whatever a server answers is a valid result, and good only with two vectors of numbers.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[0,1]}],"usage":{"prompt_tokens":3}}`,
		`{"data":[{"embedding":[1]},{"embedding":[null]}]}`, `{"data":[{"embedding":[1e309]},{"embedding":"AAAA"}]}`,
		`{"data":[{"index":-1,"embedding":[1]},{"index":99,"embedding":[]}]}`, `{"data":{}}`, `[]`, `null`, ``, `<html>`, `{"error":{}}`,
		`{"data":[{"index":0,"embedding":[1.7e308,1.7e308]},{"index":0,"embedding":[0]}],"usage":{"prompt_tokens":-1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out := outboundtest.Canned{Status: http.StatusOK, Body: body}
		provider, err := mistral.New(mistral.Options{BaseURL: "http://api.test", APIKey: checktest.Secret(key), Out: out})
		if err != nil {
			t.Fatal(err)
		}
		check, err := embeddings.Kind().New(checktest.Decoder("model: other", key), checks.Env{Provider: provider})
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := checktest.Valid(r); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		if r.Usage == nil {
			t.Errorf("%q: no usage was booked", body)
		}
	})
}
