package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/chat"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// oracle answers every request with the same reply and keeps the request.
type oracle struct {
	reply mistral.ChatReply
	call  mistral.Call
	asked mistral.ChatRequest
}

func (o *oracle) Chat(_ context.Context, req mistral.ChatRequest) (mistral.ChatReply, mistral.Call) {
	o.asked = req
	return o.reply, o.call
}

func pong() *oracle {
	return &oracle{
		reply: mistral.ChatReply{
			Model: "mistral-small-latest", Content: "Pong!", FinishReason: "stop",
			Usage:      &mistral.Usage{PromptTokens: 15, CompletionTokens: 3, TotalTokens: 18},
			FirstToken: 200 * time.Millisecond, Chunks: 2, MaxGap: 30 * time.Millisecond,
		},
		call: mistral.Call{
			Status: 200, Summary: "200", RequestID: "req-1", Timings: outbound.Timings{Total: 500 * time.Millisecond, RemoteAddr: "192.0.2.1:443"},
			Phases:   []checks.Phase{{Name: checks.PhaseFirstToken, Took: 200 * time.Millisecond}},
			Evidence: []checks.Step{{Name: "status", OK: true, Detail: "200"}},
			Limits:   []mistral.RateLimit{{Resource: "requests", Window: "minute", Limit: 60, Remaining: 59}, {Resource: "tokens", Window: "", Limit: -1, Remaining: 7}},
		},
	}
}

func ask(t *testing.T, params string, o *oracle) checks.Result {
	t.Helper()
	return askWithin(t.Context(), t, params, o)
}

func askWithin(ctx context.Context, t *testing.T, params string, o *oracle) checks.Result {
	t.Helper()
	check, err := chat.Kind().New(checktest.Decoder("model: mistral-small-latest\n"+params, ""), checks.Env{Provider: o, Prices: pricing.NewBook(pricing.Default(), base)})
	if err != nil {
		t.Fatalf("building: %v", err)
	}
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatalf("running: %v", err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("not valid: %v", err)
	}
	return r
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		params string
		change func(*oracle)
		status checks.Status
		cause  checks.Cause
		blame  checks.Blame
		says   string
	}{
		"an answer is well":                  {status: checks.OK, says: "mistral-small-latest answered in 500ms, first token after 200ms"},
		"cut at max_tokens is well":          {change: func(o *oracle) { o.reply.FinishReason = "length" }, status: checks.OK},
		"an empty answer never is":           {change: func(o *oracle) { o.reply.Content = "" }, status: checks.Failed, cause: checks.CauseEmptyContent},
		"white space is no answer":           {change: func(o *oracle) { o.reply.Content = " \n" }, status: checks.Failed, cause: checks.CauseEmptyContent},
		"cut before it said anything":        {change: func(o *oracle) { o.reply.Content, o.reply.FinishReason = "", "length" }, status: checks.Failed, cause: checks.CauseEmptyContent},
		"only thinking is our own fault":     {change: func(o *oracle) { o.reply.Content, o.reply.Thinking = "", true }, status: checks.Failed, cause: checks.CauseEmptyContent, blame: checks.BlameConfig, says: "max_tokens 16"},
		"a refused key":                      {change: refuse(checks.CauseAuth, 401), status: checks.Failed, cause: checks.CauseAuth},
		"a missing secret is our fault":      {change: refuse(checks.CauseConfig, 0), status: checks.Error, cause: checks.CauseConfig},
		"a first token in time":              {params: "time_to_first_token: 200ms", status: checks.OK},
		"a first token too late":             {params: "time_to_first_token: 199ms", status: checks.Degraded, cause: checks.CauseSlow, says: "first token after 200ms, objective 199ms"},
		"a silence too long":                 {params: "inter_chunk: 29ms", status: checks.Degraded, cause: checks.CauseSlow, says: "silent for 30ms, objective 29ms"},
		"a wrong answer outranks a late one": {params: "time_to_first_token: 1ms\nexpect: {contains: ping}", status: checks.Failed, cause: checks.CauseAssertion},
		"the hint that the answer was cut":   {params: "expect: {contains: ping}", change: func(o *oracle) { o.reply.FinishReason = "length" }, status: checks.Failed, cause: checks.CauseAssertion, says: "cut at max_tokens"},
		"a call without a word about itself": {change: func(o *oracle) { refuse(checks.CauseServer, 500)(o); o.call.Summary = "" }, status: checks.Failed, cause: checks.CauseServer, says: "server"},
		"a summary of many lines is made one": {change: func(o *oracle) {
			refuse(checks.CauseServer, 500)(o)
			o.call.Summary = "a\nb\x00" + strings.Repeat("ü", 400)
		}, status: checks.Failed, cause: checks.CauseServer, says: "a b "},
		"invalid UTF-8 does not get through":   {change: func(o *oracle) { o.call.RequestID, o.reply.Model = "a\xff\n", "\xfe" }, status: checks.OK},
		"an answer that was not streamed":      {params: "stream: false", change: func(o *oracle) { o.reply.FirstToken, o.reply.Chunks, o.reply.MaxGap = 0, 0, 0 }, status: checks.OK, says: "answered in 500ms"},
		"a provider's word for an odd window":  {change: func(o *oracle) { o.call.Limits = []mistral.RateLimit{{Resource: "Größe!", Window: "fortnight"}} }, status: checks.OK},
		"more windows than anybody can expect": {change: manyLimits, status: checks.OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := pong()
			if tc.change != nil {
				tc.change(o)
			}
			r := ask(t, tc.params, o)
			if r.Status != tc.status || r.Cause != tc.cause || r.Blame != tc.blame || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %q blame %q: %q, want %s %q blame %q: …%s…", r.Status, r.Cause, r.Blame, r.Summary, tc.status, tc.cause, tc.blame, tc.says)
			}
		})
	}
}

func refuse(cause checks.Cause, status int) func(*oracle) {
	return func(o *oracle) {
		o.reply = mistral.ChatReply{}
		o.call.Cause, o.call.Status, o.call.Summary = cause, status, "what the client said"
	}
}

func manyLimits(o *oracle) {
	for i := range 1000 {
		o.call.Limits = append(o.call.Limits, mistral.RateLimit{Resource: fmt.Sprint("r", i), Window: "minute", Limit: 1, Remaining: 1})
	}
}

func TestARunThatWasCutShortSaysNothingAboutTheTarget(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := pong()
	refuse(checks.CauseTimeout, 0)(o)
	r := askWithin(ctx, t, "", o)
	if r.Status != checks.Unknown || r.Usage == nil || !r.Usage.Estimated {
		t.Errorf("%s with usage %+v, want unknown, and the worst case booked", r.Status, r.Usage)
	}
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	const answer = `{"city": "Paris", "n": 3, "list": [1, 2], "secret": "ANSWER"}`
	for name, tc := range map[string]struct {
		expect, content string
		says            string // "" where the expectation is met
	}{
		"contains":                         {"contains: paris", answer, ""},
		"contains, not":                    {"contains: london", answer, `does not contain "london"`},
		"matches":                          {"matches: 'P[a-z]+s'", answer, ""},
		"matches, not, by case":            {"matches: '^paris'", answer, `does not match "^paris"`},
		"matches, ignoring case":           {"matches: '(?i)PARIS'", answer, ""},
		"a schema":                         {"json_schema: {type: object, required: [city], properties: {n: {type: integer, minimum: 3}}}", answer, ""},
		"a schema, a rule broken":          {"json_schema: {properties: {n: {type: integer, minimum: 4}}}", answer, "json_schema at /properties/n/minimum"},
		"a schema, a key missing":          {"json_schema: {required: [country]}", answer, "json_schema at /required"},
		"a schema of text":                 {"json_schema: {type: object}", "ANSWER", "not JSON"},
		"a schema of JSON and more":        {"json_schema: {type: object}", "{} ANSWER", "not JSON"},
		"a schema with a reference within": {"json_schema: {$ref: '#/$defs/a', $defs: {a: {type: object}}}", answer, ""},
		"jq":                               {`jq: '.n == 3 and (.list | length) == 2'`, answer, ""},
		"jq, not":                          {`jq: '.n == 4'`, answer, `jq expression ".n == 4"`},
		"jq, null is no":                   {`jq: '.nothing'`, answer, "jq expression"},
		"jq, one of many is no":            {`jq: '.list[] | . == 1'`, answer, "jq expression"},
		"jq, no output is no":              {`jq: 'empty'`, answer, "no output"},
		"jq, an error is no":               {`jq: '.secret | error'`, answer, "it failed"},
		"jq, a wrong type is no":           {`jq: '.secret + 1'`, answer, "it failed"},
		"jq of text is a string":           {`jq: 'startswith("po")'`, "pong ANSWER", ""},
		"jq of JSON and more is a string":  {`jq: 'type == "string"'`, "{} ANSWER", ""},
		"jq that never ends":               {`jq: '[limit(10; repeat(1))] | until(false; .)'`, answer, "did not end in time"},
		"jq that gives for ever":           {`jq: 'repeat(1)'`, answer, "more than 100 outputs"},
		"jq sees no environment":           {`jq: '($ENV | length) == 0 and (env | length) == 0'`, answer, ""},
		"all of it":                        {"contains: Paris\n  matches: Paris\n  jq: .n", answer, ""},
		"the first that is not":            {"contains: Paris\n  matches: London\n  jq: .x", answer, `match "London"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := pong()
			o.reply.Content = tc.content
			r := ask(t, "expect:\n  "+tc.expect, o)
			if tc.says == "" && r.Status != checks.OK {
				t.Errorf("%s: %s, want ok", r.Status, r.Summary)
			}
			want := checks.CauseAssertion
			if strings.Contains(tc.says, "in time") || strings.Contains(tc.says, "more than") {
				want = checks.CauseConfig // the expression is at fault, not the answer
			}
			if tc.says != "" && (r.Cause != want || !strings.Contains(r.Summary, tc.says)) {
				t.Errorf("%s %q: %q, want %q with %q", r.Status, r.Cause, r.Summary, want, tc.says)
			}
			if text, err := json.Marshal(checks.OfReport(&checks.Report{Result: r})); err != nil || strings.Contains(string(text), "ANSWER") {
				t.Errorf("the result quotes the answer: %s %v", text, err)
			}
		})
	}
}

func TestBadParametersAreRefusedAtTheirPlace(t *testing.T) {
	t.Parallel()
	for params, path := range map[string]string{
		"model: ''":                                                          "model",
		`model: "a\nb"`:                                                      "model",
		"model: ' a'":                                                        "model",
		"{model: a, prompt: ' '}":                                            "prompt",
		"{model: a, max_tokens: 0}":                                          "max_tokens",
		"{model: a, max_tokens: 1000000}":                                    "max_tokens",
		"{model: a, temperature: 3}":                                         "temperature",
		"{model: a, temperature: .nan}":                                      "temperature",
		"{model: a, time_to_first_token: -1s}":                               "time_to_first_token",
		"{model: a, inter_chunk: -1s}":                                       "inter_chunk",
		"{model: a, stream: false, inter_chunk: 1s}":                         "inter_chunk",
		"{model: a, expect: {matches: '('}}":                                 "expect.matches",
		"{model: a, expect: {jq: '.a |'}}":                                   "expect.jq",
		"{model: a, expect: {jq: 'nosuchfunction'}}":                         "expect.jq",
		"{model: a, expect: {jq: 'import \"a\" as a; .'}}":                   "expect.jq",
		"{model: a, expect: {jq: 'input'}}":                                  "expect.jq",
		"{model: a, expect: {json_schema: {type: nothing}}}":                 "expect.json_schema",
		"{model: a, expect: {json_schema: {$ref: 'https://example.com/s'}}}": "expect.json_schema",
		"{model: a, expect: {json_schema: {$ref: 'file:///etc/passwd'}}}":    "expect.json_schema",
		"{model: a, expect: {json_schema: {pattern: '('}}}":                  "expect.json_schema",
		"{model: a, prompt: " + strings.Repeat("a", 70000) + "}":             "prompt",
	} {
		err := chat.Kind().Validate(checktest.Decoder(params, ""))
		param, ok := errors.AsType[*checks.ParamError](err)
		if !ok || param.Path != path {
			t.Errorf("%.60s gave %v, want an error at %s", params, err, path)
		}
	}
}

func TestEveryBadParameterIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	err := chat.Kind().Validate(checktest.Decoder("{model: '', max_tokens: 0, expect: {matches: '(', jq: '.a |'}}", ""))
	for _, path := range []string{"model:", "max_tokens:", "expect.matches:", "expect.jq:"} {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want an error at %s", err, path)
		}
	}
}

func TestTheRequestIsWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	cold := 0.0
	for name, tc := range map[string]struct {
		params string
		want   mistral.ChatRequest
	}{
		"the defaults": {"", mistral.ChatRequest{
			Model: "mistral-small-latest", MaxTokens: 16, Stream: true, Messages: []mistral.Message{{Role: "user", Content: "Reply with the single word: pong"}},
		}},
		"everything": {"{prompt: p, system: s, max_tokens: 1, temperature: 0, stream: false, json: true}", mistral.ChatRequest{
			Model: "m", MaxTokens: 1, Temperature: &cold, JSON: true, Messages: []mistral.Message{{Role: "system", Content: "s"}, {Role: "user", Content: "p"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := pong()
			params := "model: mistral-small-latest"
			if tc.params != "" {
				params = strings.Replace(tc.params, "{", "{model: m, ", 1)
			}
			check, err := chat.Kind().New(checktest.Decoder(params, ""), checks.Env{Provider: o})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := check.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, o.asked); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

const base = "https://api.eu.mistral.ai"

func TestTheBill(t *testing.T) {
	t.Parallel()
	prices := pricing.NewBook(pricing.Default(), base)
	exact, _ := prices.Cost(pricing.Usage{Prompt: 15, Completion: 3}, "mistral-small-latest", time.Now())
	worst, _ := prices.Worst("mistral-small-latest", len("Reply with the single word: pong"), 16, time.Now())
	if exact <= 0 || worst <= exact {
		t.Fatalf("prices %s and %s make no sense", exact, worst)
	}
	nowhere := func(o *oracle) { o.call.Timings.RemoteAddr = "" }
	for name, tc := range map[string]struct {
		change    []func(*oracle)
		want      checks.PicoUSD // 0: no bill
		estimated bool
	}{
		"by the provider's count":                   {want: exact},
		"no count":                                  {[]func(*oracle){func(o *oracle) { o.reply.Usage = nil }}, worst, true},
		"a count of nothing":                        {[]func(*oracle){func(o *oracle) { o.reply.Usage = &mistral.Usage{} }}, worst, true},
		"a refusal is free":                         {[]func(*oracle){refuse(checks.CauseRateLimited, 429)}, 0, false},
		"a wrong key is free":                       {[]func(*oracle){refuse(checks.CauseAuth, 401)}, 0, false},
		"a redirect is free":                        {[]func(*oracle){refuse(checks.CauseUnexpectedRedirect, 302)}, 0, false},
		"503 took nothing on":                       {[]func(*oracle){refuse(checks.CauseCapacity, 503)}, 0, false},
		"a gateway's error may hide work":           {[]func(*oracle){refuse(checks.CauseServer, 502)}, worst, true},
		"a timeout may have been billed":            {[]func(*oracle){refuse(checks.CauseTimeout, 0)}, worst, true},
		"a truncated stream may have been billed":   {[]func(*oracle){refuse(checks.CauseStreamTruncated, 200)}, worst, true},
		"a reset after the request too":             {[]func(*oracle){refuse(checks.CauseConnect, 0)}, worst, true},
		"never connected is free":                   {[]func(*oracle){refuse(checks.CauseConnect, 0), nowhere}, 0, false},
		"an unknown host is free":                   {[]func(*oracle){refuse(checks.CauseDNS, 0), nowhere}, 0, false},
		"a failed handshake is free":                {[]func(*oracle){refuse(checks.CauseTLS, 0)}, 0, false},
		"a missing key is free":                     {[]func(*oracle){refuse(checks.CauseConfig, 0)}, 0, false},
		"our own fault before the connection":       {[]func(*oracle){refuse(checks.CauseInternal, 0), nowhere}, 0, false},
		"a count beside a failure is what was used": {[]func(*oracle){func(o *oracle) { o.call.Cause, o.call.Status = checks.CauseStreamTruncated, 200 }}, exact, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := pong()
			for _, change := range tc.change {
				change(o)
			}
			u := ask(t, "", o).Usage
			if tc.want == 0 {
				if u != nil {
					t.Fatalf("billed %+v, want nothing", u)
				}
				return
			}
			if u == nil || u.Cost != tc.want || u.Estimated != tc.estimated || !u.PriceKnown || u.PriceDate != pricing.Default().Date() || u.Model != "mistral-small-latest" {
				t.Errorf("billed %+v, want %d estimated %v at %s", u, tc.want, tc.estimated, pricing.Default().Date())
			}
		})
	}
}

func TestAnUnknownPriceIsAFindingAndCostsTheDearest(t *testing.T) {
	t.Parallel()
	check, err := chat.Kind().New(checktest.Decoder("model: nobody-knows-7b", ""), checks.Env{Provider: pong()})
	if err != nil {
		t.Fatal(err)
	}
	most, known := check.(checks.Paid).MaxCost(time.Now())
	r, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if known || most <= 0 || r.Usage == nil || r.Usage.PriceKnown || r.Usage.Cost <= 0 || r.Usage.Cost > most {
		t.Errorf("at most %s, known %v, billed %+v", most, known, r.Usage)
	}
}

func TestMeasurementsHaveTheNamesOfTheCatalogue(t *testing.T) {
	t.Parallel()
	failed := pong()
	failed.call.Cause, failed.call.Status = checks.CauseStreamTruncated, 200
	var names []string
	for _, o := range []*oracle{pong(), failed} {
		for _, m := range ask(t, "", o).Measurements {
			row, ok := exporters.Lookup(m.Name)
			if !ok || row.Unit != m.Unit {
				t.Errorf("%s with unit %q, want a row of the catalogue: %+v", m.Name, m.Unit, row)
			}
			for key := range m.Attrs {
				if !slices.Contains(row.Attrs, key) {
					t.Errorf("%s has attribute %q, which the catalogue does not know", m.Name, key)
				}
			}
			if m.Attrs["error.type"] != string(o.call.Cause) && strings.HasPrefix(m.Name, "gen_ai.client.operation") {
				t.Errorf("%s has error.type %q, want %q", m.Name, m.Attrs["error.type"], o.call.Cause)
			}
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	want := []string{
		"gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.token.usage", "probe.http.status_code",
		"probe.llm.inter_chunk", "probe.llm.rate_limit.limit", "probe.llm.rate_limit.remaining", "probe.llm.rate_limit.share",
		"probe.llm.time_to_first_token",
	}
	if diff := cmp.Diff(want, slices.Compact(names)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestFactsSayWhatAnswered(t *testing.T) {
	t.Parallel()
	want := map[string]string{"request_id": "req-1", "model": "mistral-small-latest", "response_model": "mistral-small-latest", "finish_reason": "stop"}
	if diff := cmp.Diff(want, ask(t, "", pong()).Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestPromptAndAnswerAreNowhereInTheResult(t *testing.T) {
	t.Parallel()
	for _, expect := range []string{"", "expect: {contains: nothing}", "expect: {jq: '.x'}", "time_to_first_token: 1ns"} {
		o := pong()
		o.reply.Content = "THE-ANSWER-IS-42"
		r := ask(t, "prompt: THE-QUESTION\nsystem: THE-SYSTEM\n"+expect, o)
		text, err := json.Marshal(checks.OfReport(&checks.Report{Result: r}))
		if err != nil {
			t.Fatal(err)
		}
		for _, canary := range []string{"THE-ANSWER-IS-42", "THE-QUESTION", "THE-SYSTEM"} {
			if form := checktest.Leak(string(text), canary); form != "" {
				t.Errorf("%q: the result holds %s (%s): %s", expect, canary, form, text)
			}
		}
	}
}

func TestAProviderThatCannotChatIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := chat.New(chat.Params{Model: "m"}, checks.Env{Provider: 7}); err == nil {
		t.Error("a number was taken for a provider")
	}
	check, err := chat.New(chat.Params{Model: "m"}, checks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := check.Run(t.Context()); err == nil || r.Cause != checks.CauseConfig {
		t.Errorf("without a provider the run gave %v, %v, want an error of the configuration", r, err)
	}
}
