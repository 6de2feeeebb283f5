package mistral_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func canaryForms() []string {
	reversed := []byte(canary)
	slices.Reverse(reversed)
	return []string{
		strings.ToUpper(canary), strings.ToLower(canary), string(reversed), html.EscapeString(canary), strconv.Quote(canary),
		strings.ToUpper(hex.EncodeToString([]byte(canary))), strings.ToLower(url.QueryEscape(canary)),
		canary, canary[:12], canary[len(canary)-12:], url.QueryEscape(canary), url.PathEscape(canary), hex.EncodeToString([]byte(canary)),
		base64.StdEncoding.EncodeToString([]byte(canary)), base64.RawURLEncoding.EncodeToString([]byte(canary)),
		base64.StdEncoding.EncodeToString([]byte("Bearer " + canary))[12:40], base64.StdEncoding.EncodeToString([]byte("u:" + canary))[4:40],
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	server := serve(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	tests := map[string]checks.Secret{
		"no source at all":             {},
		"no value":                     checks.NewSecret(&source{err: checks.ErrNoSecret}),
		"an empty value":               checks.NewSecret(&source{}),
		"a source that cannot be read": checks.NewSecret(&source{err: errors.New("permission denied")}),
		"a line break within":          checks.NewSecret(&source{value: "wsk-CANARY\nX-Evil: 1"}),
		"white space around":           checks.NewSecret(&source{value: " wsk-CANARY"}),
		"a control character":          checks.NewSecret(&source{value: "wsk-CANARY\x00"}),
		"not ASCII":                    checks.NewSecret(&source{value: "wsk-CANARY-é"}),
	}
	for name, secret := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{"models", "model", "chat", "stream", "embed"} {
				_, call := do(t.Context(), client(t, server.URL, func(o *mistral.Options) { o.APIKey = secret }), kind)
				if call.Cause != checks.CauseConfig || call.Reason != "key" || call.Evidence[0].Name != "key" || call.Evidence[0].OK || len(call.Evidence) != 1 {
					t.Errorf("%s: got %+v", kind, call)
				}
				if text := fmt.Sprintf("%+v", call); strings.Contains(text, "wsk-CANARY") {
					t.Errorf("the key is in %s", text)
				}
			}
			if requests.Load() != 0 {
				t.Error("a request was made")
			}
		})
	}
}

// severalPlaces is a source of several places, one of which gave the value.
type severalPlaces struct{ *source }

func (severalPlaces) Used() string { return "file /etc/windsock/secrets/mistral" }

func TestTheEvidenceNamesThePlaceThatGaveTheKey(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	key := checks.NewSecret(severalPlaces{&source{value: canary}})
	_, call := client(t, server.URL, func(o *mistral.Options) { o.APIKey = key }).Models(t.Context())
	want := checks.Step{Name: "key", OK: true, Detail: "read from file /etc/windsock/secrets/mistral"}
	if got := call.Evidence[0]; got.Name != want.Name || got.OK != want.OK || got.Detail != want.Detail {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAfterA401TheNextCallUsesTheNewKey(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer rotated-key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"data":[]}`)
	})
	rotating := &rotatingSource{value: "old-key-value", next: "rotated-key"}
	c := client(t, server.URL, func(o *mistral.Options) { o.APIKey = checks.NewSecret(rotating) })
	_, call := c.Models(t.Context())
	if call.Cause != checks.CauseAuth || requests.Load() != 1 {
		t.Errorf("after %d requests: %+v", requests.Load(), call)
	}
	_, call = c.Models(t.Context())
	if !call.OK() || requests.Load() != 2 {
		t.Errorf("after %d requests: %+v", requests.Load(), call)
	}
}

type rotatingSource struct{ value, next string }

func (r *rotatingSource) Read(context.Context) (string, error) { return r.value, nil }
func (r *rotatingSource) Where() string                        { return "the test" }
func (r *rotatingSource) Renew(context.Context) (bool, error) {
	r.value = r.next
	return true, nil
}

func TestOnlyA401RenewsTheKey(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 302, 400, 401, 402, 403, 429, 500} {
		s := &source{value: canary}
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, _ = client(t, server.URL, func(o *mistral.Options) { o.APIKey = checks.NewSecret(s) }).Models(t.Context())
		if got := s.renewed.Load() == 1; got != (status == 401) {
			t.Errorf("%d: renewed %d times", status, s.renewed.Load())
		}
	}
}

// A hostile or careless server sends the key back wherever it can.
func TestTheKeyNeverComesBack(t *testing.T) {
	t.Parallel()
	words := strings.Join(append(canaryForms(), "Bearer "+canary, "wsk\u200b-"+canary[3:], `"`+canary+`"`), " ; ")
	quoted, _ := jsonText(words)
	bodies := map[string]string{
		"detail":     `{"detail":` + quoted + `}`,
		"message":    `{"object":"error","message":` + quoted + `,"type":` + quoted + `,"code":` + quoted + `}`,
		"validation": `{"detail":[{"type":` + quoted + `,"loc":["body",` + quoted + `],"msg":` + quoted + `,"input":` + quoted + `}]}`,
		"html":       "<html>" + words,
		"text":       words,
		"chat": `{"id":` + quoted + `,"model":` + quoted + `,"usage":{"service_tier":` + quoted + `},"choices":[{"finish_reason":` + quoted +
			`,"message":{"content":` + quoted + `}}]}`,
		"stream": "data: {\"object\":\"error\",\"message\":" + quoted + "}\n\n",
		"cards": `{"data":[{"id":` + quoted + `,"name":` + quoted + `,"aliases":[` + quoted + `],"capabilities":{` + quoted + `:true},"owned_by":` + quoted + `}],
			"id":` + quoted + `}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{200, 302, 400, 401, 403, 404, 422, 429, 500, 599} {
				server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Mistral-Correlation-Id", canary)
					w.Header().Set("X-Ratelimit-Limit-Req-Minute", canary)
					w.Header().Set("Retry-After", canary)
					w.Header().Set("Location", "https://elsewhere.test/?key="+canary)
					w.WriteHeader(status)
					_, _ = io.WriteString(w, body)
				})
				for _, kind := range []string{"models", "model", "chat", "stream", "embed"} {
					reply, call := do(t.Context(), client(t, server.URL, nil), kind)
					// The answer's text is scrubbed of the whole key only: it is compared, never shown.
					if chat, ok := reply.(mistral.ChatReply); ok {
						if strings.Contains(chat.Content, canary) {
							t.Errorf("the key is in the content")
						}
						chat.Content = ""
						reply = chat
					}
					noCanary(t, []any{reply, call})
				}
			}
		})
	}
}

func TestTheKeyIsInNoTransportError(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]string{
		"nobody listens": "http://127.0.0.1:1", "no such name": "http://" + strings.ToLower("nowhere.invalid."), "not TLS": "https://127.0.0.1:1/" + "prefix",
	} {
		_, call := client(t, base, func(o *mistral.Options) {
			o.Out = out(t, outbound.Options{Resolver: failingResolver(t)})
		}).Models(t.Context())
		if call.OK() {
			t.Errorf("%s: %+v", name, call)
		}
		noCanary(t, call)
	}
}
