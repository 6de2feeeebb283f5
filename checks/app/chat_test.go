package app_test

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
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

func TestTheChatRouteIsJudged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code   int
		body   string
		more   string
		status checks.Status
		cause  checks.Cause
		blame  checks.Blame
		says   string
	}{
		"well":                        {200, pong, "", checks.OK, "", "", "healthy, with 200 OK, the chat route answered 200 OK"},
		"text is an answer":           {200, "pong", "expect: {contains: PONG}", checks.OK, "", "", ""},
		"all that can be expected":    {200, pong, "expect: {contains: pong, matches: '^{', jq: '.reply == \"pong\"', json_schema: {required: [reply]}}", checks.OK, "", "", ""},
		"jq says no":                  {200, pong, "expect: {jq: '.reply == \"ping\"'}", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "the chat route: the answer does not satisfy the jq"},
		"it does not contain it":      {200, pong, "expect: {contains: ping}", checks.Failed, checks.CauseAssertion, checks.BlameApplication, `does not contain "ping"`},
		"it does not match":           {200, pong, "expect: {matches: '^pong$'}", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "does not match"},
		"it is of another shape":      {200, pong, "expect: {json_schema: {required: [answer]}}", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "json_schema"},
		"jq that never ends":          {200, pong, "expect: {jq: 'last(range(1e12))'}", checks.Unknown, checks.CauseConfig, checks.BlameNone, "did not end in time"},
		"jq that grows without end":   {200, pong, "expect: {jq: 'reduce range(100) as $i (\"x\"; . + .)'}", checks.Unknown, checks.CauseConfig, checks.BlameNone, "jq expression"},
		"another good status":         {202, pong, "status: [200, 202]", checks.OK, "", "", "answered 202"},
		"a status nobody wants":       {202, pong, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "202 Accepted, want 200"},
		"an error that is wanted":     {400, `{"error":"empty message"}`, "status: [400]", checks.OK, "", "", "answered 400"},
		"an error that is not":        {400, `{"error":"empty message"}`, "", checks.Failed, checks.CauseBadRequest, checks.BlameConfig, "400 Bad Request, want 200"},
		"a 500 with a trace":          {500, "Traceback (most recent call last):", "", checks.Failed, checks.CauseServer, checks.BlameApplication, "stack trace"},
		"a 401":                       {401, "", "", checks.Failed, checks.CauseAuth, checks.BlameConfig, "401 Unauthorized"},
		"too many requests":           {429, "", "", checks.Failed, checks.CauseRateLimited, checks.BlameApplication, "429"},
		"a 200 with an error inside":  {200, `{"error":{"code":429}}`, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "an error inside"},
		"an error of the provider":    {200, `{"object":"error","message":"Unauthorized","code":"1"}`, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "an error inside"},
		"errors of GraphQL":           {200, `{"errors":[{"message":"boom"}],"data":null}`, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "an error inside"},
		"no success":                  {200, `{"success":false,"message":"boom"}`, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "an error inside"},
		"the word error":              {200, `{"status":"error","message":"boom"}`, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "an error inside"},
		"an error in a stream":        {200, "data: {\"delta\":\"po\"}\n\nevent: error\ndata: {\"error\":{\"message\":\"boom\"}}\n\n", "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "an error inside"},
		"a stream without an error":   {200, "data: {\"delta\":\"pong\",\"error\":null}\n\ndata: [DONE]\n\n", "", checks.OK, "", "", ""},
		"an error behind a mark":      {200, "\ufeff{\"error\":\"boom\"}", "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "an error inside"},
		"HTML behind a mark":          {200, "\ufeff<!DOCTYPE html>pong", "expect: {contains: pong}", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "HTML"},
		"null":                        {200, "null", "", checks.Failed, checks.CauseEmptyContent, checks.BlameApplication, "holds nothing"},
		"an object without anything":  {200, "{}", "", checks.Failed, checks.CauseEmptyContent, checks.BlameApplication, "holds nothing"},
		"a 200 with no error inside":  {200, `{"error":null,"reply":"pong"}`, "", checks.OK, "", "", ""},
		"HTML":                        {200, "<html>pong</html>", "expect: {contains: pong}", checks.Failed, checks.CauseMalformed, checks.BlameApplication, "HTML"},
		"nothing":                     {200, " ", "", checks.Failed, checks.CauseEmptyContent, checks.BlameApplication, "empty body"},
		"an endless answer":           {200, strings.Repeat("a", 2<<20), "", checks.Failed, checks.CauseResponseTooLarge, checks.BlameApplication, "larger than its bound"},
		"code with a trace is fine":   {200, `{"reply":"panic:\n\ngoroutine 1 [running]:\nsk-abcdefghijklmnop"}`, "", checks.OK, "", "", ""},
		"a secret of ours is not":     {200, `{"reply":"` + key + `"}`, "", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "one of our secrets"},
		"a long expression, in short": {200, pong, "expect: {jq: '.reply == \"" + strings.Repeat("x", 1000) + "\"'}", checks.Failed, checks.CauseAssertion, checks.BlameApplication, "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, application(says(200, inside), says(tc.code, tc.body)))
			r := run(t, params(url, "secrets: [{env: A}]\n"+chatOf(url, tc.more+"\nmax_cost_usd: 0.001")))
			if r.Status != tc.status || r.Cause != tc.cause || r.Blame != tc.blame || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %q blame %q: %q, want %s %q blame %q: …%s…", r.Status, r.Cause, r.Blame, r.Summary, tc.status, tc.cause, tc.blame, tc.says)
			}
			if r.Usage == nil || r.Usage.Cost != checks.Dollar/1000 {
				t.Errorf("usage %+v, want the declared cost: the route was asked", r.Usage)
			}
		})
	}
}

func TestTheWorseOfTheTwoRoutesDecides(t *testing.T) {
	t.Parallel()
	const bad, soSo = `{"status":"unhealthy"}`, `{"status":"degraded"}`
	for name, tc := range map[string]struct {
		code   int
		health string
		chat   int
		status checks.Status
		says   string
	}{
		"both are well":             {200, inside, 200, checks.OK, "the chat route answered"},
		"the health is bad":         {503, bad, 200, checks.Failed, "unhealthy, with 503"},
		"the chat is bad":           {200, inside, 500, checks.Failed, "the chat route: 500"},
		"the chat is worse":         {200, soSo, 500, checks.Failed, "the chat route: 500"},
		"both are bad":              {503, bad, 500, checks.Failed, "unhealthy, with 503"},
		"the health is only not OK": {200, soSo, 200, checks.Degraded, "degraded"},
	} {
		url := serve(t, application(says(tc.code, tc.health), says(tc.chat, pong)))
		r := run(t, params(url, chatOf(url, "")))
		if r.Status != tc.status || !strings.Contains(r.Summary, tc.says) {
			t.Errorf("%s: %s: %q, want %s: …%s…", name, r.Status, r.Summary, tc.status, tc.says)
		}
		var names []string
		for _, s := range r.Evidence {
			names = append(names, s.Name)
		}
		if all := strings.Join(names, " "); !strings.Contains(all, "shape") || !strings.Contains(all, "chat.status") {
			t.Errorf("%s: the evidence is of %s, want both routes", name, all)
		}
	}
}

func TestTheChatRequestIsWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ auth, header, want string }{
		"bearer": {"auth: {bearer: {env: A}}", "Authorization", "Bearer " + key},
		"basic":  {"auth: {basic: {username: me, password: {env: A}}}", "Authorization", "Basic bWU6Y2FuYXJ5LWtleS00NzExLWFiY2RlZg=="},
		"header": {"auth: {headers: {X-Session: {env: A}}}", "X-Session", key},
		"plain":  {"headers: {X-Tenant: probe}", "X-Tenant", "probe"},
	} {
		url := serve(t, application(says(200, inside), func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var sent map[string]any
			if err != nil || json.Unmarshal(body, &sent) != nil || fmt.Sprint(sent) != "map[deep:map[list:[1 2]] message:ping]" {
				t.Errorf("%s: sent %s, %v", name, body, err)
			}
			if r.Header.Get(tc.header) != tc.want || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: sent %v", name, r.Header)
			}
			_, _ = io.WriteString(w, pong)
		}))
		if r := run(t, params(url, chatOf(url, tc.auth))); r.Status != checks.OK || r.Usage != nil {
			t.Errorf("%s: %s %s, usage %v", name, r.Status, r.Summary, r.Usage)
		}
	}
}

func TestAChatThatCannotBeReachedCostsNothingAndOneThatHangsDoes(t *testing.T) {
	t.Parallel()
	url := serve(t, application(says(200, inside), func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // with a body unread the server does not see that the client left
		<-r.Context().Done()
	}))
	for name, tc := range map[string]struct {
		chat   string
		cause  checks.Cause
		billed bool
	}{
		"nobody listens": {"http://" + outboundtest.Refused(t), checks.CauseConnect, false},
		"no answer":      {url, checks.CauseTimeout, true},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, err := build(t, params(url, chatOf(tc.chat, "max_cost_usd: 0.001"))).Run(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		valid(t, r)
		if r.Status != checks.Failed || r.Cause != tc.cause || r.Blame != checks.BlameApplication || (r.Usage != nil) != tc.billed {
			t.Errorf("%s: %s %q blame %q, usage %v, want failed %q, billed %v", name, r.Status, r.Cause, r.Blame, r.Usage, tc.cause, tc.billed)
		}
	}
}

func TestAJqThatNeverEndsStopsAtTheDeadline(t *testing.T) {
	t.Parallel()
	url := serve(t, application(says(200, inside), says(200, pong)))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r, err := build(t, params(url, chatOf(url, "expect: {jq: 'def f: f; f'}"))).Run(ctx)
	if err != nil || r.Status == checks.OK || r.Status == checks.Degraded {
		t.Errorf("%s %q: %s, %v", r.Status, r.Cause, r.Summary, err)
	}
	valid(t, r)
}
