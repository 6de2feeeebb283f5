package simulator_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

func TestErrorPresets(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	tests := map[string]struct {
		status     int
		kind, code any
	}{
		"unauthorized": {401, nil, nil}, "invalid_api_key": {401, nil, nil}, "kong_unauthorized": {401, nil, nil},
		"payment_required": {402, "payment_required", nil},
		"tier_not_allowed": {403, "tier_not_allowed", "1910"}, "labs_not_enabled": {403, "labs_not_enabled", "1913"},
		"invalid_model": {400, "invalid_model", "1500"}, "model_not_in_use": {400, "invalid_request_error", "3003"},
		"invalid_args": {400, "invalid_request_invalid_args", "3051"}, "extra_forbidden": {422, "invalid_request_error", nil},
		"rate_limited": {429, "rate_limited", "1300"}, "no_allowance": {429, "rate_limited", "1300"},
		"capacity": {429, "service_tier_capacity_exceeded", "3505"}, "capacity_503": {503, "service_tier_capacity_exceeded", "3505"},
		"engine_pending": {429, "engine_max_pending_tokens", "3810"},
		"internal":       {500, "internal_server_error", "1000"}, "unavailable": {503, "internal_server_error", "3800"},
		"bad_gateway": {502, "html", nil}, "cloudflare": {520, "html", nil}, "gateway_timeout": {504, "empty", nil},
		"captive_portal": {200, "html", nil},
	}
	for _, name := range simulator.Errors() {
		test, ok := tests[name]
		if !ok {
			t.Errorf("preset %q has no test", name)
			continue
		}
		r.Clear()
		r.apply(t, simulator.Fault{Route: simulator.RouteChat, Error: name})
		for _, body := range []string{ping, pingStream} {
			got := r.chat(t, body)
			want(t, name+": status", got.status, test.status)
			switch test.kind {
			case "html":
				want(t, name+": content type", got.header.Get("Content-Type"), "text/html; charset=UTF-8")
			case "empty":
				want(t, name+": length", len(got.body), 0)
				want(t, name+": content type", got.header.Get("Content-Type"), "")
			default:
				want(t, name+": type", at(t, got.body, "type"), test.kind)
				want(t, name+": code", at(t, got.body, "code"), test.code)
			}
			if name == "no_allowance" {
				want(t, "limit", got.header.Get("x-ratelimit-limit-req-minute"), "0")
			}
		}
		want(t, name+": the list is untouched", r.models(t).status, 200)
	}
	want(t, "billed", r.Stats().Total, simulator.Billed{})
}

func TestBodyShapes(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	tests := map[string]func(t *testing.T, got reply){
		"json":   func(t *testing.T, got reply) { t.Helper(); want(t, "message", at(t, got.body, "message"), "words") },
		"detail": func(t *testing.T, got reply) { t.Helper(); want(t, "detail", at(t, got.body, "detail"), "words") },
		"detail_list": func(t *testing.T, got reply) {
			t.Helper()
			want(t, "msg", at(t, got.body, "detail", 0, "msg"), "words")
		},
		"nested_object": func(t *testing.T, got reply) {
			t.Helper()
			want(t, "msg", at(t, got.body, "message", "detail", 0, "msg"), "words")
		},
		"kong": func(t *testing.T, got reply) {
			t.Helper()
			want(t, "message", at(t, got.body, "message"), "words")
			want(t, "request id", at(t, got.body, "request_id"), got.header.Get("x-kong-request-id"))
		},
		"html": func(t *testing.T, got reply) {
			t.Helper()
			want(t, "page", bytes.Contains(got.body, []byte("<p>words</p>")), true)
		},
		"empty": func(t *testing.T, got reply) { t.Helper(); want(t, "length", len(got.body), 0) },
		"garbage": func(t *testing.T, got reply) {
			t.Helper()
			want(t, "valid JSON", json.Valid(got.body), false)
			want(t, "content type", got.header.Get("Content-Type"), "application/json")
		},
		"invalid_utf8": func(t *testing.T, got reply) { t.Helper(); want(t, "valid UTF-8", utf8.Valid(got.body), false) },
		"not_json_200": func(t *testing.T, got reply) { t.Helper(); want(t, "valid JSON", json.Valid(got.body), false) },
	}
	for _, shape := range simulator.Shapes() {
		test, ok := tests[shape]
		if !ok {
			t.Errorf("shape %q has no test", shape)
			continue
		}
		r.Clear()
		r.apply(t, simulator.Fault{Status: 500, Body: shape, Message: "words"})
		for _, got := range []reply{r.models(t), r.chat(t, pingStream), r.embed(t, embed)} {
			want(t, shape+": status", got.status, 500)
			test(t, got)
		}
		if shape == "garbage" || shape == "not_json_200" {
			r.Clear()
			r.apply(t, simulator.Fault{Body: shape})
			want(t, shape+" without a status", r.models(t).status, 200)
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	r := start(t, simulator.Options{})
	t.Run("redirect", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Redirect: "http://127.0.0.1:1/elsewhere"})
		got := r.models(t)
		want(t, "status", got.status, http.StatusTemporaryRedirect)
		want(t, "location", got.header.Get("Location"), "http://127.0.0.1:1/elsewhere")
	})
	t.Run("huge body", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{HugeBody: 3<<20 + 5})
		want(t, "length", len(r.models(t).body), 3<<20+5)
		r.apply(t, simulator.Fault{HugeBody: 3})
		want(t, "length of a small one", len(r.models(t).body), 3)
	})
	t.Run("gzip bomb", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{GzipBomb: 5<<20 + 7})
		got := r.models(t)
		want(t, "encoding", got.header.Get("Content-Encoding"), "gzip")
		if len(got.body) > 64<<10 {
			t.Errorf("%d bytes on the wire", len(got.body))
		}
		z, err := gzip.NewReader(bytes.NewReader(got.body))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, z)
		want(t, "length after decompression", n, int64(5<<20+7))
		want(t, "error", err, nil)
	})
	t.Run("headers, retry after and count", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Status: 503, RetryAfter: "1500ms", Headers: map[string]string{"Via": "a proxy", "Server": "mine"}, Count: 2})
		for range 2 {
			got := r.chat(t, ping)
			want(t, "retry after", got.header.Get("Retry-After"), "2")
			want(t, "via", got.header.Get("Via"), "a proxy")
			want(t, "server", got.header.Get("Server"), "mine")
		}
		want(t, "the third", r.chat(t, ping).status, http.StatusOK)
		r.apply(t, simulator.Fault{Status: 429, RetryAfter: "Fri, 31 Dec 9999 23:59:59 GMT"})
		want(t, "a date", r.chat(t, ping).header.Get("Retry-After"), "Fri, 31 Dec 9999 23:59:59 GMT")
	})
	t.Run("the key is echoed", func(t *testing.T) {
		for _, f := range []simulator.Fault{
			{EchoKey: true},
			{EchoKey: true, Status: 500},
			{EchoKey: true, Status: 422, Body: "detail_list"},
			{EchoKey: true, Error: "extra_forbidden"},
			{EchoKey: true, Status: 502, Body: "html"},
			{EchoKey: true, Error: "capacity"},
		} {
			r.Clear()
			r.apply(t, f)
			got := r.chat(t, ping)
			if got.status < 400 || !bytes.Contains(got.body, []byte("Bearer "+testKey)) {
				t.Errorf("%+v: got %d %s", f, got.status, got.body)
			}
		}
	})
	want(t, "billed, without the one good call", r.Stats().Total.Calls, int64(1))
}

func TestFaultsMatch(t *testing.T) {
	r := start(t, simulator.Options{})
	other := strings.Replace(ping, "mistral-small-latest", "ministral-3b-latest", 1)
	t.Run("one model", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Model: "mistral-small-latest", Status: 500})
		want(t, "this one", r.chat(t, ping).status, 500)
		want(t, "another", r.chat(t, other).status, 200)
		want(t, "its card", r.do(t, http.MethodGet, "/v1/models/mistral-small-latest", testKey, "").status, 500)
		want(t, "the list", r.models(t).status, 200)
	})
	t.Run("one key", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Key: testKey, KeyRevoked: true})
		want(t, "this one", r.models(t).status, 401)
		want(t, "another", r.do(t, http.MethodGet, "/v1/models", "fallback", "").status, 200)
	})
	t.Run("one route", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Route: simulator.RouteModel, Status: 500})
		want(t, "one model", r.do(t, http.MethodGet, "/v1/models/x", testKey, "").status, 500)
		want(t, "the list", r.models(t).status, 200)
	})
	t.Run("the later fault wins, and the others still apply", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Status: 500, Headers: map[string]string{"Via": "one"}})
		r.apply(t, simulator.Fault{Route: simulator.RouteChat, Error: "capacity"})
		got := r.chat(t, ping)
		want(t, "status", got.status, 429)
		want(t, "via", got.header.Get("Via"), "one")
		want(t, "another route", r.models(t).status, 500)
	})
	t.Run("probability 0 never hits", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Status: 500, Probability: new(0.0)})
		want(t, "status", r.models(t).status, 200)
	})
	t.Run("a 4xx waits for the key to be looked at, a 5xx does not", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Status: 429})
		want(t, "429 without a key", r.do(t, http.MethodGet, "/v1/models", "", "").status, 401)
		r.apply(t, simulator.Fault{Status: 503})
		want(t, "503 without a key", r.do(t, http.MethodGet, "/v1/models", "", "").status, 503)
	})
}

func TestBrokenAnswers(t *testing.T) {
	r := start(t, simulator.Options{})
	t.Run("reset before the header", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{Reset: "before_header"})
		resp, err := r.send(t, http.MethodGet, "/v1/models", testKey, "")
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
		want(t, "count", r.Stats().Requests[simulator.RouteModels]["reset"], int64(1))
	})
	for name, test := range map[string]struct {
		fault simulator.Fault
		err   error
	}{
		"reset in the body":  {simulator.Fault{Reset: "mid_body"}, syscall.ECONNRESET},
		"closed in the body": {simulator.Fault{Reset: "eof"}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			r.Clear()
			r.apply(t, test.fault)
			for _, got := range []reply{r.models(t), r.chat(t, ping), r.chat(t, pingStream), r.embed(t, embed)} {
				want(t, "status", got.status, 200)
				if len(got.body) == 0 || !errors.Is(got.err, test.err) {
					t.Errorf("got %d bytes and %v, want some and %v", len(got.body), got.err, test.err)
				}
			}
		})
	}
	t.Run("truncated", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{TruncateAfter: new(1)})
		for _, got := range []reply{r.models(t), r.chat(t, ping)} {
			want(t, "error", got.err, nil)
			want(t, "valid JSON", json.Valid(got.body), false)
		}
	})
	t.Run("dripped", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{SlowLoris: time.Microsecond})
		want(t, "content", at(t, r.chat(t, ping).body, "choices", 0, "message", "content"), "pong")
	})
	t.Run("empty content", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{EmptyContent: true})
		got := r.chat(t, ping)
		want(t, "content", at(t, got.body, "choices", 0, "message", "content"), "")
		want(t, "finish reason", at(t, got.body, "choices", 0, "finish_reason"), "stop")
		want(t, "tokens", at(t, got.body, "usage", "completion_tokens"), 0)
		want(t, "frames", len(frames(t, r.chat(t, pingStream).body)), 3)
		vector, _ := at(t, r.embed(t, embed).body, "data", 0, "embedding").([]any)
		want(t, "width", len(vector), 0)
	})
}

func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault  simulator.Fault
		frames int
		last   string // part of the last frame
		tokens int64
	}{
		"truncated after three":         {simulator.Fault{TruncateAfter: new(3)}, 4, `"p":`, 3},
		"truncated before the first":    {simulator.Fault{TruncateAfter: new(0)}, 1, `"role"`, 0},
		"truncated before the end":      {simulator.Fault{TruncateAfter: new(1000)}, 16, `"p":`, 15},
		"an error frame":                {simulator.Fault{ErrorFrame: new(2)}, 4, `"object":"error"`, 2},
		"an error frame of own words":   {simulator.Fault{ErrorFrame: new(2), Message: "own words"}, 4, `own words`, 2},
		"a reset has half of the words": {simulator.Fault{Reset: "eof"}, 8, `"p":`, 7},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, simulator.Options{})
			r.apply(t, test.fault)
			all := frames(t, r.chat(t, talk).body)
			want(t, "frames", len(all), test.frames)
			if last := all[len(all)-1]; !strings.Contains(last, test.last) {
				t.Errorf("the last frame is %s, want %s", last, test.last)
			}
			billed := r.Stats().Total
			want(t, "completion tokens billed", billed.CompletionTokens, test.tokens)
			want(t, "calls billed", billed.Calls, int64(1))
		})
	}
}

func TestStalls(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body   string
		frames int // that come before the silence
		tokens int64
	}{"a stream": {talk, 3, 2}, "a whole answer": {ping, 0, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, simulator.Options{})
			r.apply(t, simulator.Fault{StallAfter: new(2)})
			resp, err := r.send(t, http.MethodPost, "/v1/chat/completions", testKey, test.body)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body := bufio.NewReader(resp.Body)
			for seen := 0; seen < test.frames; {
				line, err := body.ReadString('\n')
				if err != nil {
					t.Fatalf("after %d frames: %v", seen, err)
				}
				if strings.HasPrefix(line, "data:") {
					seen++
				}
			}
			r.stop() // else it would say nothing for ever
			data, err := io.ReadAll(body)
			if err == nil || bytes.Contains(data, []byte("[DONE]")) {
				t.Errorf("the stalled answer ended in order: %q", data)
			}
			want(t, "tokens billed", r.Stats().Total.CompletionTokens, test.tokens)
		})
	}
}

func TestCatalogueFaults(t *testing.T) {
	r := start(t, simulator.Options{})
	with := func(id string) string { return strings.Replace(ping, "mistral-small-latest", id, 1) }
	t.Run("alias moved", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{AliasMoved: &simulator.AliasMoved{Alias: "mistral-small-latest", To: "ministral-8b-2512"}})
		all := cards(t, r)
		want(t, "canonical id", all["mistral-small-latest"].Name, "ministral-8b-2512")
		want(t, "siblings", len(all["ministral-8b-2512"].Aliases), 2)
		want(t, "siblings left", len(all["mistral-small-2603"].Aliases), 1)
		before := r.Stats().Billed["ministral-8b-2512"].Calls
		want(t, "model of the answer", at(t, r.chat(t, ping).body, "model"), "mistral-small-latest")
		want(t, "calls billed to the new one", r.Stats().Billed["ministral-8b-2512"].Calls, before+1)
	})
	t.Run("a new alias", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{AliasMoved: &simulator.AliasMoved{Alias: "brand-new", To: "mistral-large-latest"}})
		want(t, "canonical id", cards(t, r)["brand-new"].Name, "mistral-large-2512")
		want(t, "status", r.chat(t, with("brand-new")).status, 200)
	})
	t.Run("model retired with its aliases", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{ModelRetired: &simulator.ModelID{ID: "devstral-2512"}})
		for _, id := range []string{"devstral-2512", "devstral-latest"} {
			if _, listed := cards(t, r)[id]; listed {
				t.Errorf("%s is listed", id)
			}
			got := r.chat(t, with(id))
			want(t, "status", got.status, 400)
			want(t, "code", at(t, got.body, "code"), "3003")
			got = r.do(t, http.MethodGet, "/v1/models/"+id, testKey, "")
			want(t, "status of the card", got.status, 404)
			want(t, "message", at(t, got.body, "message"), "Model "+id+" is deprecated.")
		}
	})
	t.Run("an alias retired alone", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{ModelRetired: &simulator.ModelID{ID: "mistral-small-latest"}})
		want(t, "the alias", r.chat(t, ping).status, 400)
		want(t, "the model", r.chat(t, with("mistral-small-2603")).status, 200)
		want(t, "siblings", len(cards(t, r)["mistral-small-2603"].Aliases), 1)
	})
	t.Run("not listed and usable", func(t *testing.T) {
		r.Clear()
		r.apply(t, simulator.Fault{ModelUnlisted: &simulator.ModelID{ID: "mistral-small-latest"}})
		if _, listed := cards(t, r)["mistral-small-latest"]; listed {
			t.Error("it is listed")
		}
		want(t, "status", r.chat(t, ping).status, 200)
	})
}

func TestQuota(t *testing.T) {
	t.Parallel()
	t.Run("of the account counts down to a 429, and the list stays up", func(t *testing.T) {
		t.Parallel()
		r := start(t, simulator.Options{RequestsPerMinute: 3})
		for _, left := range []string{"2", "1", "0"} {
			got := r.chat(t, ping)
			want(t, "status", got.status, 200)
			want(t, "remaining", got.header.Get("x-ratelimit-remaining-req-minute"), left)
			want(t, "limit", got.header.Get("x-ratelimit-limit-req-minute"), "3")
		}
		for _, got := range []reply{r.chat(t, ping), r.embed(t, embed)} {
			want(t, "status", got.status, 429)
			want(t, "code", at(t, got.body, "code"), "1300")
			want(t, "remaining", got.header.Get("x-ratelimit-remaining-req-minute"), "0")
		}
		want(t, "the list", r.models(t).status, 200)
		want(t, "calls billed", r.Stats().Total.Calls, int64(3))
	})
	t.Run("of a fault, for one model", func(t *testing.T) {
		t.Parallel()
		r := start(t, simulator.Options{})
		r.apply(t, simulator.Fault{Model: "mistral-small-latest", Quota: &simulator.Quota{RequestsPerMinute: 1}, LimitHeaders: "by_size"})
		got := r.chat(t, ping)
		want(t, "remaining", got.header.Get("ratelimitbysize-remaining"), "0")
		want(t, "the other family", got.header.Get("x-ratelimit-limit-req-minute"), "")
		want(t, "the second", r.chat(t, ping).status, 429)
		want(t, "another model", r.chat(t, strings.Replace(ping, "small-latest", "large-latest", 1)).status, 200)
	})
	t.Run("no allowance", func(t *testing.T) {
		t.Parallel()
		r := start(t, simulator.Options{})
		r.apply(t, simulator.Fault{NoAllowance: true})
		got := r.chat(t, ping)
		want(t, "status", got.status, 429)
		want(t, "limit", got.header.Get("x-ratelimit-limit-req-minute"), "0")
		want(t, "the list", r.models(t).status, 200)
		r.apply(t, simulator.Fault{LimitHeaders: "none"})
		want(t, "limit without headers", r.chat(t, ping).header.Get("x-ratelimit-limit-req-minute"), "")
	})
}

func TestFaultsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := simulator.New(simulator.Options{})
	tests := map[string]struct {
		fault simulator.Fault
		want  string
	}{
		"nothing goes wrong":         {simulator.Fault{Route: simulator.RouteChat, Count: 1}, "not what goes wrong"},
		"unknown route":              {simulator.Fault{Route: "files", Status: 500}, `route: "files", want one of *`},
		"unknown preset":             {simulator.Fault{Error: "teapot"}, `error: "teapot", want one of`},
		"unknown shape":              {simulator.Fault{Status: 500, Body: "xml"}, `body: "xml", want one of json`},
		"preset and status":          {simulator.Fault{Error: "internal", Status: 503}, "leave status and body out"},
		"error shape without status": {simulator.Fault{Body: "detail"}, "needs a status"},
		"status out of range":        {simulator.Fault{Status: 99}, "200 to 599"},
		"redirect with 200":          {simulator.Fault{Redirect: "/x", Status: 200}, "300 to 399"},
		"probability above one":      {simulator.Fault{Status: 500, Probability: new(1.5)}, "0 to 1"},
		"negative count":             {simulator.Fault{Status: 500, Count: -1}, "0 (every request) or more"},
		"negative latency":           {simulator.Fault{Latency: -1}, "latency: want 0 to 24h"},
		"negative chunks":            {simulator.Fault{StallAfter: new(-1)}, "0 or more"},
		"unknown reset":              {simulator.Fault{Reset: "sometimes"}, "before_header, mid_body, eof"},
		"header with a line break":   {simulator.Fault{Headers: map[string]string{"A": "b\r\nc"}}, "not a header"},
		"message of nothing":         {simulator.Fault{Message: "words", Latency: 1}, "needs status"},
		"catalogue and more":         {simulator.Fault{ModelRetired: &simulator.ModelID{ID: "x"}, Status: 500}, "stands alone"},
		"catalogue on one route":     {simulator.Fault{ModelRetired: &simulator.ModelID{ID: "x"}, Route: "chat"}, "stands alone"},
		"alias to nowhere":           {simulator.Fault{AliasMoved: &simulator.AliasMoved{Alias: "x"}}, "want alias and to"},
		"alias to an unknown model":  {simulator.Fault{AliasMoved: &simulator.AliasMoved{Alias: "x", To: "y"}}, `"y" is not in the catalogue`},
		"retired unknown model":      {simulator.Fault{ModelRetired: &simulator.ModelID{ID: "y"}}, `"y" is not in the catalogue`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.Apply(test.fault)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
