package simulator_test

import (
	"encoding/json"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

type modelCard struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Billing      string          `json:"billing_model_name"`
	Type         string          `json:"type"`
	Aliases      []string        `json:"aliases"`
	Deprecation  *string         `json:"deprecation"`
	Replacement  *string         `json:"deprecation_replacement_model"`
	Capabilities map[string]bool `json:"capabilities"`
}

func cards(t *testing.T, r *running) map[string]modelCard {
	t.Helper()
	got := r.models(t)
	want(t, "status", got.status, http.StatusOK)
	var list struct {
		Data []modelCard `json:"data"`
	}
	if err := json.Unmarshal(got.body, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]modelCard{}
	for _, c := range list.Data {
		out[c.ID] = c
	}
	return out
}

func TestModelsListsEveryAliasAsItsOwnEntry(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	all := cards(t, r)
	for id, c := range all {
		for _, alias := range c.Aliases {
			other, ok := all[alias]
			if !ok || !slices.Contains(other.Aliases, id) || other.Name != c.Name || other.Billing != c.Billing {
				t.Errorf("%s lists alias %s, which says %+v", id, alias, other)
			}
		}
		if c.Type != "base" || len(c.Capabilities) < 10 || c.Billing == "" {
			t.Errorf("card %s is not whole: %+v", id, c)
		}
		if _, ok := all[c.Name]; !ok {
			t.Errorf("%s has the name %s, which is not listed", id, c.Name)
		}
	}
	want(t, "canonical id of the alias", all["mistral-small-latest"].Name, "mistral-small-2603")
	want(t, "canonical id of Medium 3.5", all["mistral-medium-3-5"].Name, "mistral-medium-latest")
	want(t, "billing name of Medium 3.5", all["mistral-medium-latest"].Billing, "mistral-medium-3-5")
	want(t, "entries without an embedding ability", all["mistral-embed"].Capabilities["completion_chat"], false)
	retiring := all["devstral-latest"]
	if retiring.Deprecation == nil {
		t.Fatal("devstral-latest has no retirement time")
	}
	when, err := time.Parse(time.RFC3339, *retiring.Deprecation)
	if err != nil || !when.After(time.Now()) || when.After(time.Now().AddDate(0, 0, 30)) {
		t.Errorf("devstral-latest retires at %v (%v), want within 30 days", when, err)
	}
	if all["mistral-small-latest"].Deprecation != nil {
		t.Error("mistral-small-latest retires")
	}
}

func TestOneModel(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	got := r.do(t, http.MethodGet, "/v1/models/mistral-small-latest", testKey, "")
	want(t, "status", got.status, http.StatusOK)
	want(t, "id", at(t, got.body, "id"), "mistral-small-latest")
	got = r.do(t, http.MethodGet, "/v1/models/devstral-2512", testKey, "")
	if got.header.Get("X-Model-Deprecation-Timestamp") == "" {
		t.Error("a retiring model is not announced in the header")
	}
	got = r.do(t, http.MethodGet, "/v1/models/no-such", testKey, "")
	want(t, "status of an unknown one", got.status, http.StatusNotFound)
	want(t, "message", at(t, got.body, "message"), "Model no-such not found")
}

func TestChat(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	got := r.chat(t, ping)
	want(t, "status", got.status, http.StatusOK)
	want(t, "content", at(t, got.body, "choices", 0, "message", "content"), "pong")
	want(t, "finish reason", at(t, got.body, "choices", 0, "finish_reason"), "stop")
	want(t, "model echoes the alias", at(t, got.body, "model"), "mistral-small-latest")
	prompt, _ := at(t, got.body, "usage", "prompt_tokens").(float64)
	completion, _ := at(t, got.body, "usage", "completion_tokens").(float64)
	want(t, "total", at(t, got.body, "usage", "total_tokens"), prompt+completion)
	again := r.chat(t, ping)
	want(t, "the same request costs the same", at(t, again.body, "usage", "total_tokens"), prompt+completion)
	want(t, "billed", r.Stats().Billed["mistral-small-2603"],
		simulator.Billed{Calls: 2, PromptTokens: 2 * int64(prompt), CompletionTokens: 2 * int64(completion)})
}

func TestChatAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	user := func(prompt, more string) string {
		return `{"model":"mistral-small-latest","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"` + prompt + `"}]` + more + `}`
	}
	tests := map[string]struct{ body, content, finish string }{
		"max_tokens 1 is length":               {user("Reply with pong", `,"max_tokens":1`), "pon", "length"},
		"max_tokens just enough is length too": {user("Reply with pong", `,"max_tokens":2`), "pong", "length"},
		"max_tokens 0 says nothing":            {user("Reply with pong", `,"max_tokens":0`), "", "length"},
		"any word can be asked for":            {user("Reply with the word lantern-42.", ``), "lantern-42", "stop"},
		"json_object":                          {user("Reply with pong", `,"response_format":{"type":"json_object"}`), `{"answer":"pong"}`, "stop"},
		"json_schema": {
			user("Reply with pong", `,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"ok":{"type":"boolean"},"n":{"type":"integer","minimum":3},"list":{"type":"array","items":{"enum":["x"]}}}}}}`),
			`{"list":["x"],"n":3,"ok":true}`, "stop",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := r.chat(t, test.body)
			want(t, "content", at(t, got.body, "choices", 0, "message", "content"), test.content)
			want(t, "finish reason", at(t, got.body, "choices", 0, "finish_reason"), test.finish)
		})
	}
}

func TestReasoningThinksFirst(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	body := strings.Replace(ping, `"max_tokens":16`, `"max_tokens":64,"reasoning_effort":"high"`, 1)
	got := r.chat(t, body)
	want(t, "first block", at(t, got.body, "choices", 0, "message", "content", 0, "type"), "thinking")
	want(t, "second block", at(t, got.body, "choices", 0, "message", "content", 1, "text"), "pong")
	got = r.chat(t, strings.Replace(body, "64", "4", 1))
	blocks, _ := at(t, got.body, "choices", 0, "message", "content").([]any)
	want(t, "blocks of a ping that allows too little", len(blocks), 1)
	want(t, "finish reason", at(t, got.body, "choices", 0, "finish_reason"), "length")
}

func TestStream(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	got := r.chat(t, pingStream)
	want(t, "content type", got.header.Get("Content-Type"), "text/event-stream; charset=utf-8")
	all := frames(t, got.body)
	if len(all) != 5 {
		t.Fatalf("got %d frames, want role, pon, g, end, [DONE]: %q", len(all), all)
	}
	want(t, "last frame", all[4], "[DONE]")
	first, last := []byte(all[0]), []byte(all[3])
	want(t, "role", at(t, first, "choices", 0, "delta", "role"), "assistant")
	want(t, "first content", at(t, first, "choices", 0, "delta", "content"), "")
	want(t, "padding of the first", at(t, first, "p"), nil)
	var text strings.Builder
	for _, f := range all[1:3] {
		piece, _ := at(t, []byte(f), "choices", 0, "delta", "content").(string)
		text.WriteString(piece)
		if p, _ := at(t, []byte(f), "p").(string); p == "" {
			t.Errorf("chunk %s has no padding", f)
		}
		want(t, "usage of a middle chunk", at(t, []byte(f), "usage"), nil)
	}
	want(t, "text", text.String(), "pong")
	want(t, "finish reason", at(t, last, "choices", 0, "finish_reason"), "stop")
	want(t, "completion tokens", at(t, last, "usage", "completion_tokens"), 2)
	want(t, "billed completion tokens", r.Stats().Total.CompletionTokens, int64(2))
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	vector := func(body string, i int) []any {
		got := r.embed(t, body)
		want(t, "status", got.status, http.StatusOK)
		v, _ := at(t, got.body, "data", i, "embedding").([]any)
		return v
	}
	alone := vector(embed, 0)
	second := vector(`{"model":"mistral-embed-2312","input":["another","one text"]}`, 1)
	want(t, "width", len(alone), 1024)
	if !slices.Equal(alone, second) {
		t.Error("the same text has two vectors")
	}
	var square float64
	for _, f := range alone {
		n, _ := f.(float64)
		square += n * n
	}
	if math.Abs(square-1) > 1e-3 {
		t.Errorf("the vector has length² %v, want 1", square)
	}
	want(t, "width of a shorter one", len(vector(`{"model":"codestral-embed","input":"x","output_dimension":256}`, 0)), 256)
	want(t, "completion tokens", r.Stats().Total.CompletionTokens, int64(0))
	want(t, "calls billed", r.Stats().Total.Calls, int64(3))
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for name, got := range map[string]reply{
		"models": r.models(t), "chat": r.chat(t, ping), "stream": r.chat(t, talk), "embeddings": r.embed(t, embed),
		"an error": r.chat(t, `{}`), "no route": r.do(t, http.MethodGet, "/", "", ""),
	} {
		if id := got.header.Get("mistral-correlation-id"); !uuid.MatchString(id) || got.header.Get("x-kong-request-id") != id {
			t.Errorf("%s: ids are %q and %q", name, id, got.header.Get("x-kong-request-id"))
		}
		if got.header.Get("x-envoy-upstream-service-time") == "" || got.header.Get("x-kong-upstream-latency") == "" {
			t.Errorf("%s: upstream times are missing in %v", name, got.header)
		}
	}
	if h := r.models(t).header; h.Get("x-ratelimit-limit-req-minute") != "" {
		t.Error("the list has rate-limit headers, though it counts against nothing")
	}
	h := r.chat(t, ping).header
	want(t, "limit", h.Get("x-ratelimit-limit-req-minute"), "60000")
	if h.Get("x-ratelimit-tokens-query-cost") == "" || h.Get("x-ratelimit-remaining-tokens-month") == "" {
		t.Errorf("token headers are missing in %v", h)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{Keys: map[string]bool{testKey: true, "off": false}})
	post := func(path, body string) reply { return r.do(t, http.MethodPost, path, testKey, body) }
	withField := func(field string) string { return strings.Replace(ping, `"max_tokens":16`, field, 1) }
	manyInputs := `{"model":"mistral-embed","input":["` + strings.Repeat(`a","`, 256) + `a"]}`
	tests := map[string]struct {
		got    reply
		status int
		path   []any
		want   any
	}{
		"no key":                      {r.do(t, http.MethodGet, "/v1/models", "", ""), 401, []any{"detail"}, "Unauthorized"},
		"wrong key":                   {r.do(t, http.MethodGet, "/v1/models", "other", ""), 401, []any{"detail"}, "Invalid API Key"},
		"key set to false":            {r.do(t, http.MethodGet, "/v1/models", "off", ""), 401, []any{"detail"}, "Invalid API Key"},
		"path of nobody":              {r.do(t, http.MethodGet, "/v2/models", testKey, ""), 404, []any{"message"}, "no Route matched with those values"},
		"path of the API":             {post("/v1/v1/chat/completions", ping), 404, []any{"detail"}, "Not Found"},
		"wrong method":                {r.do(t, http.MethodGet, "/v1/chat/completions", testKey, ""), 405, []any{"detail"}, "Method Not Allowed"},
		"stream_options":              {r.chat(t, withField(`"stream_options":{}`)), 422, []any{"message", "detail", 0, "type"}, "extra_forbidden"},
		"max_completion_tokens":       {r.chat(t, withField(`"max_completion_tokens":9`)), 422, []any{"message", "detail", 0, "input"}, 9.0},
		"store":                       {r.chat(t, withField(`"store":false`)), 422, []any{"detail", 0, "loc", 1}, "store"},
		"user":                        {r.chat(t, withField(`"user":"u"`)), 422, []any{"message", "detail", 0, "loc", 1}, "user"},
		"two unknown fields":          {r.chat(t, withField(`"user":"u","logit_bias":{}`)), 422, []any{"message", "detail", 1, "loc", 1}, "user"},
		"no JSON":                     {r.chat(t, `{"model"`), 422, []any{"detail", 0, "type"}, "json_invalid"},
		"no messages":                 {r.chat(t, `{"model":"mistral-small-latest"}`), 422, []any{"detail", 0, "loc", 1}, "messages"},
		"empty messages":              {r.chat(t, `{"model":"mistral-small-latest","messages":[]}`), 400, []any{"code"}, "3230"},
		"wrong type":                  {r.chat(t, withField(`"max_tokens":"many"`)), 422, []any{"detail", 0, "loc", 1}, "max_tokens"},
		"temperature out of range":    {r.chat(t, withField(`"temperature":7`)), 422, []any{"detail", 0, "loc", 1}, "temperature"},
		"unknown model":               {r.chat(t, strings.Replace(ping, "mistral-small-latest", "no-such", 1)), 400, []any{"message"}, "Invalid model: no-such"},
		"unknown model's code":        {r.chat(t, strings.Replace(ping, "mistral-small-latest", "no-such", 1)), 400, []any{"code"}, "1500"},
		"labs model":                  {r.chat(t, strings.Replace(ping, "mistral-small-latest", "labs-leanstral-1-5", 1)), 403, []any{"code"}, "1913"},
		"model of another tier":       {r.chat(t, strings.Replace(ping, "mistral-small-latest", "glm-5-2", 1)), 403, []any{"code"}, "1910"},
		"chat with an embedder":       {r.chat(t, strings.Replace(ping, "mistral-small-latest", "mistral-embed", 1)), 400, []any{"code"}, "3051"},
		"embeddings of a chat model":  {r.embed(t, `{"model":"mistral-small-latest","input":"x"}`), 400, []any{"code"}, "3051"},
		"too many inputs":             {r.embed(t, manyInputs), 400, []any{"code"}, "3210"},
		"no inputs":                   {r.embed(t, `{"model":"mistral-embed","input":[]}`), 400, []any{"code"}, "3210"},
		"input of numbers":            {r.embed(t, `{"model":"mistral-embed","input":[1]}`), 422, []any{"detail", 0, "loc", 1}, "input"},
		"dimension that cannot be":    {r.embed(t, `{"model":"mistral-embed","input":"x","output_dimension":5}`), 400, []any{"code"}, "3051"},
		"prompt longer than can be":   {r.chat(t, `{"model":"ministral-3b-latest","messages":[{"role":"user","content":"`+strings.Repeat("words ", 80000)+`"}]}`), 400, []any{"code"}, "3051"},
		"body larger than is allowed": {r.chat(t, strings.Repeat(" ", 9<<20)), 413, []any{"message"}, "Request size limit exceeded"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, "status", test.got.status, test.status)
			want(t, "body", at(t, test.got.body, test.path...), test.want)
		})
	}
	if total := r.Stats().Total; total != (simulator.Billed{}) {
		t.Errorf("refused calls were billed: %+v", total)
	}
}

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	t.Parallel()
	story := func(seed int64) string {
		r := start(t, simulator.Options{Seed: seed})
		r.apply(t, simulator.Fault{Route: simulator.RouteChat, Status: 500, Probability: new(0.5)})
		var out strings.Builder
		for range 16 {
			if r.chat(t, pingStream).status == http.StatusOK {
				out.WriteString(".")
			} else {
				out.WriteString("x")
			}
		}
		return out.String()
	}
	first := story(7)
	want(t, "the second telling", story(7), first)
	if first == story(8) && first == story(9) {
		t.Errorf("three seeds tell %q", first)
	}
	if !strings.Contains(first, ".") || !strings.Contains(first, "x") {
		t.Errorf("a probability of one half gave %q", first)
	}
}
