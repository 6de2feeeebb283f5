package mistral_test

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// canary is the key of every test. It has characters that encodings change.
const canary = "wsk-CANARY+7/aZ~q9~Kx2mT4vB8nR5"

// source is a secret that counts.
type source struct {
	value   string
	err     error
	renewed atomic.Int64
}

func (s *source) Read(context.Context) (string, error) { return s.value, s.err }
func (s *source) Where() string                        { return "the test" }

func (s *source) Renew(context.Context) (bool, error) {
	s.renewed.Add(1)
	return true, nil
}

func out(t *testing.T, o outbound.Options) *outbound.Network {
	t.Helper()
	n, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func client(t *testing.T, base string, change func(*mistral.Options)) *mistral.Client {
	t.Helper()
	o := mistral.Options{BaseURL: base, APIKey: checks.NewSecret(&source{value: canary}), Out: out(t, outbound.Options{})}
	if change != nil {
		change(&o)
	}
	c, err := mistral.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func ping(stream bool) mistral.ChatRequest {
	return mistral.ChatRequest{
		Model: "mistral-small-latest", MaxTokens: 16, Stream: stream,
		Messages: []mistral.Message{{Role: "user", Content: "Answer with the word pong-1234."}},
	}
}

// do makes the call of that name and returns its reply too.
func do(ctx context.Context, c *mistral.Client, name string) (any, mistral.Call) {
	switch name {
	case "models":
		return c.Models(ctx)
	case "model":
		return c.Model(ctx, "devstral-medium-latest")
	case "embed":
		return c.Embed(ctx, mistral.EmbedRequest{Model: "mistral-embed", Input: []string{"ping"}})
	case "stream":
		return c.Chat(ctx, ping(true))
	}
	return c.Chat(ctx, ping(false))
}

// noCanary fails where the key, or a form of it, is anywhere in v.
func noCanary(t *testing.T, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if form := checktest.Leak(string(text), canary); form != "" {
		t.Errorf("the key (%s) is in %s", form, text)
	}
	for _, form := range canaryForms() {
		if strings.Contains(string(text), form) {
			t.Errorf("%q is in %s", form, text)
		}
	}
}

type sample struct {
	Name    string            `json:"name"`
	Call    string            `json:"call"`
	Cause   checks.Cause      `json:"cause"`
	Reason  string            `json:"reason"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Source  string            `json:"source"`
	Date    string            `json:"date"`
}

func samples(tb testing.TB) []sample {
	tb.Helper()
	data, err := os.ReadFile("testdata/wire.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all []sample
	if err := json.Unmarshal(data, &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestEverySampleOfTheWire(t *testing.T) {
	t.Parallel()
	all := samples(t)
	if len(all) != 29 {
		t.Fatalf("got %d samples", len(all))
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if got := r.Header.Get("Authorization"); got != "Bearer "+canary {
					t.Errorf("authorization %q", got)
				}
				for name, value := range s.Headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(s.Status)
				_, _ = io.WriteString(w, s.Body)
			})
			reply, call := do(t.Context(), client(t, server.URL, nil), s.Call)
			if call.Cause != s.Cause || call.Reason != s.Reason || call.Status != s.Status {
				t.Errorf("got %d %q %q, want %d %q %q: %s", call.Status, call.Cause, call.Reason, s.Status, s.Cause, s.Reason, call.Summary)
			}
			if s.Source == "" || s.Date == "" {
				t.Error("a sample without source or date")
			}
			wholeCall(t, call)
			noCanary(t, []any{reply, call})
			if requests.Load() != 1 {
				t.Errorf("%d requests", requests.Load())
			}
		})
	}
}

// wholeCall checks what holds for every call that had an answer.
func wholeCall(t *testing.T, call mistral.Call) {
	t.Helper()
	last := call.Evidence[len(call.Evidence)-1]
	if last.OK != call.OK() || call.Summary == "" || strings.Contains(call.Summary, "\n") {
		t.Errorf("evidence and verdict disagree: %+v", call)
	}
	if call.Evidence[0].Name != "key" || call.Timings.Total <= 0 || len(call.Phases) < 2 {
		t.Errorf("a call without key step or phases: %+v", call)
	}
	for _, step := range call.Evidence {
		if strings.Contains(step.Detail, "pong-1234") {
			t.Errorf("the prompt is in the evidence: %q", step.Detail)
		}
	}
}

func answerSample(t *testing.T, name string) *httptest.Server {
	t.Helper()
	all := samples(t)
	i := slices.IndexFunc(all, func(s sample) bool { return s.Name == name })
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for key, value := range all[i].Headers {
			w.Header().Set(key, value)
		}
		w.WriteHeader(all[i].Status)
		_, _ = io.WriteString(w, all[i].Body)
	})
}

func TestAnAnswerIsReadWhole(t *testing.T) {
	t.Parallel()
	reply, call := client(t, answerSample(t, "chat_200_2025_full_headers").URL, nil).Chat(t.Context(), ping(false))
	want := mistral.ChatReply{
		ID: "e9459fcd56c742e0875167c9926c6aae", Model: "mistral-tiny", Content: "...", FinishReason: "stop",
		Usage: &mistral.Usage{PromptTokens: 11, CompletionTokens: 96, TotalTokens: 107},
	}
	if !reflect.DeepEqual(reply, want) {
		t.Errorf("got %+v, want %+v", reply, want)
	}
	if call.RequestID != "019942a1-458a-784d-9a7f-3de014a0f459" || call.Upstream != 683*time.Millisecond {
		t.Errorf("got %q, %s", call.RequestID, call.Upstream)
	}
	limits := []mistral.RateLimit{
		{Resource: "requests", Window: "10-second", Limit: 60, Remaining: 59, Header: "x-ratelimit-limit-req-10-second"},
		{Resource: "tokens", Window: "minute", Limit: 2000000, Remaining: 1999893, Header: "x-ratelimit-limit-tokens-minute"},
		{Resource: "tokens", Window: "month", Limit: 10000000000, Remaining: 9999999893, Header: "x-ratelimit-limit-tokens-month"},
	}
	if !reflect.DeepEqual(call.Limits, limits) {
		t.Errorf("got %+v", call.Limits)
	}
	var steps []string
	for _, step := range call.Evidence {
		steps = append(steps, step.Name)
	}
	if got := strings.Join(steps, " "); got != "key connect status body" {
		t.Errorf("evidence: %s", got)
	}
}

func TestAStreamIsReadWhole(t *testing.T) {
	t.Parallel()
	reply, call := client(t, answerSample(t, "chat_stream_200_2026").URL, nil).Chat(t.Context(), ping(true))
	if reply.Content != "lantern-42" || reply.Chunks != 2 || reply.FinishReason != "stop" || reply.FirstToken <= 0 {
		t.Errorf("got %+v", reply)
	}
	if reply.FirstToken > call.Timings.Total || reply.MaxGap < reply.MeanGap {
		t.Errorf("times out of order: %+v, %+v", reply, call.Timings)
	}
	if want := (mistral.Usage{PromptTokens: 49, CachedTokens: 32, CompletionTokens: 6, TotalTokens: 55, ServiceTier: "standard"}); *reply.Usage != want {
		t.Errorf("got %+v", reply.Usage)
	}
	if !slices.ContainsFunc(call.Phases, func(p checks.Phase) bool { return p.Name == checks.PhaseFirstToken }) {
		t.Errorf("got %+v", call.Phases)
	}
}

func TestThinkingIsNotContent(t *testing.T) {
	t.Parallel()
	reply, _ := client(t, answerSample(t, "chat_200_reasoning").URL, nil).Chat(t.Context(), ping(false))
	if reply.Content != "7" || !reply.Thinking || reply.Usage.CompletionTokens != 1794 {
		t.Errorf("got %+v", reply)
	}
}

func TestACardIsReadLeniently(t *testing.T) {
	t.Parallel()
	models, _ := client(t, answerSample(t, "models_200_one_card_2026_10").URL, nil).Models(t.Context())
	if len(models) != 1 {
		t.Fatalf("got %+v", models)
	}
	m := models[0]
	if m.ID != "mistral-large-4" || m.BillingName != "mistral-large-4-0-launch-discount" || !m.Capabilities["completion_chat"] ||
		m.Capabilities["ocr"] || *m.DefaultTemperature != 1 || !m.Deprecation.IsZero() || m.Aliases[0] != "mistral-large-4-0" || m.Created.Year() != 2026 {
		t.Errorf("got %+v", m)
	}
	odd := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[null,7,"x",{},{"id":"a","aliases":"none","capabilities":[],"deprecation":"2026-12-01","archived":"no",
			"created":"1759000000","max_context_length":"4096","default_model_temperature":null,"new":{"deep":[1e309]}},{"id":"b","capabilities":{"x":1,"y":true},"created":1e999}]}`)
	})
	models, call := client(t, odd.URL, nil).Models(t.Context())
	if !call.OK() || len(models) != 2 || models[0].MaxContextLength != 4096 || models[0].Deprecation.Format(time.DateOnly) != "2026-12-01" ||
		models[0].DefaultTemperature != nil || !models[1].Capabilities["y"] || len(models[1].Capabilities) != 1 {
		t.Errorf("got %+v, %+v", models, call)
	}
}

func TestOneModel(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/v1/models/devstral-medium-latest" {
			t.Errorf("path %q", r.URL.EscapedPath())
		}
		w.Header().Set("X-Model-Deprecation-Timestamp", "1796083200")
		_, _ = io.WriteString(w, `{"id":"devstral-medium-latest","name":"devstral-2512"}`)
	})
	m, call := client(t, server.URL, nil).Model(t.Context(), "devstral-medium-latest")
	if !call.OK() || m.Name != "devstral-2512" || m.Deprecation.Unix() != 1796083200 || !call.Retires.Equal(m.Deprecation) {
		t.Errorf("got %+v, %+v", m, call)
	}
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	reply, _ := client(t, answerSample(t, "embeddings_200_2026").URL, nil).Embed(t.Context(), mistral.EmbedRequest{Model: "m", Input: []string{"x"}})
	if len(reply.Vectors) != 1 || len(reply.Vectors[0]) != 2 || reply.Usage.PromptTokens != 4 {
		t.Errorf("got %+v", reply)
	}
	swapped := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]},{"index":9,"embedding":[9]}]}`)
	})
	reply, call := client(t, swapped.URL, nil).Embed(t.Context(), mistral.EmbedRequest{Model: "m", Input: []string{"x", "y"}})
	if !call.OK() || !reflect.DeepEqual(reply.Vectors, [][]float64{{1}, {2}}) || reply.Entries != 3 {
		t.Errorf("got %+v, %+v", reply, call)
	}
	odd := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[{"index":0,"embedding":[null,1e309,-1e309,"0.5","NaN",true,[1],0.25,1e-400]}]}`)
	})
	reply, call = client(t, odd.URL, nil).Embed(t.Context(), mistral.EmbedRequest{Model: "m", Input: []string{"x"}})
	for i, v := range reply.Vectors[0] {
		if finite := i >= 7; math.IsNaN(v) == finite || len(reply.Vectors[0]) != 9 {
			t.Errorf("element %d of %v, %+v", i, reply.Vectors, call)
		}
	}
	_, call = client(t, swapped.URL, nil).Embed(t.Context(), mistral.EmbedRequest{Model: "m", Input: []string{"x", "y", "z"}})
	if call.Cause != checks.CauseEmptyContent {
		t.Errorf("got %+v", call)
	}
}

func TestOnlyFieldsThatEveryModelAcceptsAreSent(t *testing.T) {
	t.Parallel()
	var body atomic.Value
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		body.Store(string(data))
	})
	zero, seed := 0.0, int64(7)
	request := ping(true)
	request.Temperature, request.Seed, request.JSON = &zero, &seed, true
	_, _ = client(t, server.URL, nil).Chat(t.Context(), request)
	want := `{"model":"mistral-small-latest","messages":[{"role":"user","content":"Answer with the word pong-1234."}],"max_tokens":16,` +
		`"stream":true,"temperature":0,"top_p":1,"random_seed":7,"response_format":{"type":"json_object"}}`
	if got := body.Load(); got != want {
		t.Errorf("got %s", got)
	}
	_, _ = client(t, server.URL, nil).Chat(t.Context(), ping(false))
	want = `{"model":"mistral-small-latest","messages":[{"role":"user","content":"Answer with the word pong-1234."}],"max_tokens":16}`
	if got := body.Load(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestBaseURLs(t *testing.T) {
	t.Parallel()
	var path atomic.Value
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { path.Store(r.URL.Path) })
	for suffix, want := range map[string]string{
		"": "/v1/models", "/": "/v1/models", "/v1": "/v1/models", "/v1/": "/v1/models", "/prefix": "/prefix/v1/models",
		"/prefix/v1": "/prefix/v1/models", "/a/b/": "/a/b/v1/models",
	} {
		_, _ = client(t, server.URL+suffix, nil).Models(t.Context())
		if got := path.Load(); got != want {
			t.Errorf("%q: got %q, want %q", suffix, got, want)
		}
	}
	network := out(t, outbound.Options{})
	for _, base := range []string{"", "api.mistral.ai", "ftp://x", "https://user:pass@x", "https://x?key=1", "https://x#y", "://"} {
		if _, err := mistral.New(mistral.Options{BaseURL: base, Out: network}); err == nil || strings.Contains(err.Error(), "pass") {
			t.Errorf("%q: got %v", base, err)
		}
	}
	if _, err := mistral.New(mistral.Options{BaseURL: "https://x"}); err == nil {
		t.Error("a client without a way out")
	}
}

func TestConnectionsAreReusedOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	server := answerSample(t, "chat_stream_200_2026")
	for reuse, want := range map[bool]bool{false: false, true: true} {
		c := client(t, server.URL, func(o *mistral.Options) { o.ReuseConnections = reuse })
		_, _ = c.Chat(t.Context(), ping(true))
		_, second := c.Chat(t.Context(), ping(true))
		if second.Timings.Reused != want {
			t.Errorf("reuse %v: got %+v", reuse, second.Timings)
		}
	}
}
