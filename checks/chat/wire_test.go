package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/chat"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/mistral/mistraltest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

const key = "canary-key-4711-abcdef"

// event is one line of a stream, shaped as Mistral's (recorded October 2026): no event names, a first chunk with a role
// and no content, usage in the last chunk.
func event(w io.Writer, content, finish, usage string) {
	fmt.Fprintf(w, `data: {"id":"c1","object":"chat.completion.chunk","model":"mistral-small-latest","choices":[{"index":0,"delta":{"role":"assistant","content":%q},"finish_reason":%s}]%s}`+"\n\n", content, finish, usage)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

const counted = `,"usage":{"prompt_tokens":15,"completion_tokens":2,"total_tokens":17}`

func streamPong(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Mistral-Correlation-Id", "corr-7")
	w.Header().Set("X-Ratelimit-Limit-Req-Minute", "60")
	w.Header().Set("X-Ratelimit-Remaining-Req-Minute", "59")
	event(w, "", "null", "")
	event(w, "po", "null", "")
	event(w, "ng", "null", "")
	event(w, "", `"stop"`, counted)
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

func TestTheKindPassesTheSuite(t *testing.T) {
	const params = "model: mistral-small-latest\nexpect: {contains: pong}\n"
	checktest.Run(t, chat.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params, Env: checks.Env{Provider: mistraltest.Client(t, outboundtest.Serve(t, streamPong), checktest.Secret(key))}}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params, Env: checks.Env{Provider: mistraltest.Client(t, "http://"+outboundtest.Refused(t), checktest.Secret(key))}}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			return checktest.Case{Params: params, Env: checks.Env{Provider: mistraltest.Client(t, url, checktest.Secret(key))}, Reached: reached}
		},
		Refused: map[string]string{
			"no model":             "",
			"an empty prompt":      "{model: a, prompt: ''}",
			"no tokens":            "{model: a, max_tokens: 0}",
			"a bad expression":     "{model: a, expect: {matches: '('}}",
			"an unknown key below": "{model: a, expect: {contain: pong}}",
			"a text for a time":    "{model: a, inter_chunk: soon}",
			"a number for a time":  "{model: a, inter_chunk: 5}",
		},
	})
}

func TestTheRealClientEndToEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		serve     http.HandlerFunc
		params    string
		status    checks.Status
		cause     checks.Cause
		billed    bool
		estimated bool
	}{
		"a streamed pong": {streamPong, "expect: {contains: pong}", checks.OK, "", true, false},
		"a pong in one piece": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"id":"c1","model":"mistral-small-latest","choices":[{"index":0,"finish_reason":"length","message":{"role":"assistant","content":"{\"ok\": true}"}}]`+counted+`}`)
		}, "stream: false\nexpect: {jq: .ok, json_schema: {required: [ok]}}", checks.OK, "", true, false},
		"a stream that ends in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			event(w, "po", "null", "")
		}, "", checks.Failed, checks.CauseStreamTruncated, true, true},
		"a stream that says nothing": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			event(w, "", "null", "")
			event(w, "", `"stop"`, counted)
			_, _ = io.WriteString(w, "data: [DONE]\n\n")
		}, "", checks.Failed, checks.CauseEmptyContent, true, false},
		"a wrong key": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"detail":"Unauthorized"}`, http.StatusUnauthorized)
		}, "", checks.Failed, checks.CauseAuth, false, false},
		"too many requests": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"object":"error","message":"Rate limit exceeded","type":"rate_limited","code":"1300"}`, http.StatusTooManyRequests)
		}, "", checks.Failed, checks.CauseRateLimited, false, false},
		"a model that is gone": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"object":"error","message":"Invalid model: x","type":"invalid_model","code":"1500"}`, http.StatusBadRequest)
		}, "", checks.Failed, checks.CauseModelGone, false, false},
		"a gateway's page": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway)
		}, "", checks.Failed, checks.CauseServer, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check, err := chat.Kind().New(checktest.Decoder("model: mistral-small-latest\n"+tc.params, ""), checks.Env{Provider: mistraltest.Client(t, outboundtest.Serve(t, tc.serve), checktest.Secret(key))})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r, err := check.Run(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := checktest.Valid(r); err != nil {
				t.Errorf("not valid: %v", err)
			}
			if r.Status != tc.status || r.Cause != tc.cause {
				t.Errorf("%s %q: %q, want %s %q", r.Status, r.Cause, r.Summary, tc.status, tc.cause)
			}
			if (r.Usage != nil) != tc.billed || (r.Usage != nil && r.Usage.Estimated != tc.estimated) {
				t.Errorf("billed %+v, want billed %v, estimated %v", r.Usage, tc.billed, tc.estimated)
			}
			text, err := json.Marshal(checks.OfReport(&checks.Report{Result: r}))
			if err != nil || checktest.Leak(string(text), key) != "" || strings.Contains(string(text), "single word") {
				t.Errorf("the result holds the key or the prompt: %s %v", text, err)
			}
		})
	}
}

func TestNobodyListensIsFreeAndHungIsNot(t *testing.T) {
	t.Parallel()
	url, _ := outboundtest.Hung(t)
	for name, tc := range map[string]struct {
		url    string
		cause  checks.Cause
		billed bool
	}{"nobody listens": {"http://" + outboundtest.Refused(t), checks.CauseConnect, false}, "no answer": {url, checks.CauseTimeout, true}} {
		check, err := chat.Kind().New(checktest.Decoder("model: mistral-small-latest", ""), checks.Env{Provider: mistraltest.Client(t, tc.url, checktest.Secret(key))})
		if err != nil {
			t.Fatal(err)
		}
		within := func(limit time.Duration) (checks.Result, error) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			return check.Run(ctx)
		}
		limit := 300 * time.Millisecond
		r, err := within(limit)
		for r.Cause != tc.cause && limit < 20*time.Second { // on a busy machine the deadline may pass too early
			limit *= 2
			r, err = within(limit)
		}
		if err != nil || r.Cause != tc.cause || (r.Usage != nil) != tc.billed {
			t.Errorf("%s: %q %s, billed %+v, %v, want %q, billed %v", name, r.Cause, r.Summary, r.Usage, err, tc.cause, tc.billed)
		}
	}
}
