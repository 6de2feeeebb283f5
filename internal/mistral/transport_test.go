package mistral_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

func failingResolver(t *testing.T) *net.Resolver {
	t.Helper()
	return outboundtest.Resolver(t, outboundtest.Answer(dns.RcodeNameError))
}

func jsonText(s string) (string, error) {
	data, err := json.Marshal(s)
	return string(data), err
}

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// says answers with text as it is, then does finish.
func says(t *testing.T, text string, finish func(net.Conn, <-chan struct{})) string {
	t.Helper()
	return "http://" + outboundtest.Raw(t, func(conn net.Conn, done <-chan struct{}) {
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		if finish != nil {
			finish(conn, done)
		}
	})
}

func hang(_ net.Conn, done <-chan struct{}) { <-done }

func drip(conn net.Conn, done <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			if _, err := io.WriteString(conn, " "); err != nil {
				return
			}
		}
	}
}

func bomb(t *testing.T) []byte {
	t.Helper()
	var squeezed bytes.Buffer
	w := gzip.NewWriter(&squeezed)
	block := make([]byte, 1<<20)
	for range 16 {
		_, _ = w.Write(block)
	}
	_ = w.Close()
	return squeezed.Bytes()
}

func secure(t *testing.T, ca *outboundtest.CA, validity outboundtest.Validity, host string) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = ca.Config(t, validity, host)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

type transportFault struct {
	base     string
	resolver dns.HandlerFunc
	cause    checks.Cause
	reason   string
	step     string // the last step of the evidence
	deadline bool
}

func transportFaults(t *testing.T, ca *outboundtest.CA) map[string]transportFault {
	t.Helper()
	gigabyte := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for block := bytes.Repeat([]byte(" "), 1<<16); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	squeezed := bomb(t)
	bombing := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(squeezed)
	})
	html := "Content-Length: 28\r\n\r\n<html>captive portal</html>\r\n"
	name := "http://api.test."
	return map[string]transportFault{
		"no such name":             {base: name, resolver: outboundtest.Answer(dns.RcodeNameError), cause: checks.CauseDNS, reason: "nxdomain", step: "dns"},
		"the name server fails":    {base: name, resolver: outboundtest.Answer(dns.RcodeServerFailure), cause: checks.CauseDNS, reason: "servfail", step: "dns"},
		"the name server is dead":  {base: name, resolver: outboundtest.Silence, cause: checks.CauseDNS, reason: "timeout", step: "dns", deadline: true},
		"refused":                  {base: "http://" + outboundtest.Refused(t), cause: checks.CauseConnect, reason: "refused", step: "connect"},
		"blackholed":               {base: "http://" + outboundtest.Blackhole(t), cause: checks.CauseTimeoutConnect, reason: "timeout", step: "connect", deadline: true},
		"metadata address":         {base: "http://169.254.169.254", cause: checks.CauseConfig, reason: "guard", step: "connect"},
		"certificate expired":      {base: secure(t, ca, outboundtest.Expired(), "127.0.0.1"), cause: checks.CauseTLS, reason: "expired", step: "tls"},
		"certificate of tomorrow":  {base: secure(t, ca, outboundtest.NotYetValid(), "127.0.0.1"), cause: checks.CauseTLS, reason: "not_yet_valid", step: "tls"},
		"certificate of another":   {base: secure(t, ca, outboundtest.Valid(), "other.test"), cause: checks.CauseTLS, reason: "wrong_host", step: "tls"},
		"authority unknown":        {base: secure(t, outboundtest.NewCA(t), outboundtest.Valid(), "127.0.0.1"), cause: checks.CauseTLS, reason: "unknown_ca", step: "tls"},
		"no answer":                {base: says(t, "", hang), cause: checks.CauseTimeout, reason: "headers", step: "status", deadline: true},
		"hang-up":                  {base: says(t, "", nil), cause: checks.CauseConnect, reason: "closed", step: "status"},
		"reset in the body":        {base: says(t, okHead+"Content-Length: 99\r\n\r\n{\"a\"", func(c net.Conn, _ <-chan struct{}) { outboundtest.Reset(c) }), cause: checks.CauseConnect, reason: "reset", step: "body"},
		"short body":               {base: says(t, okHead+"Content-Length: 99\r\n\r\n{\"a\"", nil), cause: checks.CauseMalformed, reason: "truncated", step: "body"},
		"stalled body":             {base: says(t, okHead+"Content-Length: 99\r\n\r\n{\"a\"", hang), cause: checks.CauseTimeout, reason: "body", step: "body", deadline: true},
		"one byte at a time":       {base: says(t, okHead+"Content-Length: 9999\r\n\r\n{", drip), cause: checks.CauseTimeout, reason: "body", step: "body", deadline: true},
		"a header without end":     {base: says(t, okHead+"X-Slow:", drip), cause: checks.CauseTimeout, reason: "headers", step: "status", deadline: true},
		"a header beyond bounds":   {base: says(t, okHead+"X-Big: "+strings.Repeat("x", 100<<10), hang), cause: checks.CauseResponseTooLarge, reason: "headers", step: "status"},
		"a body without end":       {base: gigabyte.URL, cause: checks.CauseResponseTooLarge, reason: "body", step: "body"},
		"a gzip bomb":              {base: bombing.URL, cause: checks.CauseResponseTooLarge, reason: "body", step: "body"},
		"HTML":                     {base: says(t, okHead+html, hang), cause: checks.CauseMalformed, reason: "html", step: "body"},
		"an empty body":            {base: says(t, okHead+"Content-Length: 0\r\n\r\n", hang), cause: checks.CauseMalformed, reason: "empty_body", step: "body"},
		"invalid UTF-8":            {base: says(t, okHead+"Content-Length: 8\r\n\r\n{\"\xff\xfe\":1}", hang), cause: checks.CauseMalformed, reason: "utf8", step: "body"},
		"JSON that ends too early": {base: says(t, okHead+"Content-Length: 4\r\n\r\n{\"a\"", hang), cause: checks.CauseMalformed, reason: "not_json", step: "body"},
		"JSON too deep":            {base: says(t, okHead+"Content-Length: 20000\r\n\r\n"+strings.Repeat("[", 20000), hang), cause: checks.CauseMalformed, reason: "not_json", step: "body"},
		"a redirect":               {base: says(t, "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", hang), cause: checks.CauseUnexpectedRedirect, reason: "http_307", step: "body"},
		"no HTTP at all":           {base: says(t, "220 mail.test ESMTP\r\n", hang), cause: checks.CauseMalformed, reason: "protocol", step: "status"},
	}
}

func TestEveryTransportFaultHasItsCause(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	for name, tt := range transportFaults(t, ca) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := outbound.Options{CAFile: ca.File}
			if tt.resolver != nil {
				options.Resolver = outboundtest.Resolver(t, tt.resolver)
			}
			c := client(t, tt.base, func(o *mistral.Options) { o.Out, o.MaxBody = out(t, options), 1<<20 })
			limit := 20 * time.Second
			if tt.deadline {
				limit = 250 * time.Millisecond
			}
			reply, call := within(t, c, limit, false)
			for call.Cause != tt.cause && limit < 5*time.Second { // on a busy machine the deadline may pass too early
				limit *= 2
				reply, call = within(t, c, limit, false)
			}
			if call.Cause != tt.cause || call.Reason != tt.reason || call.Deadline != tt.deadline {
				t.Errorf("got %q %q %v, want %q %q %v: %s", call.Cause, call.Reason, call.Deadline, tt.cause, tt.reason, tt.deadline, call.Summary)
			}
			last := call.Evidence[len(call.Evidence)-1]
			if last.Name != tt.step || last.OK {
				t.Errorf("the evidence ends in %+v, want %q", last, tt.step)
			}
			if call.Timings.Start.IsZero() {
				t.Error("no start")
			}
			noCanary(t, []any{reply, call})
		})
	}
}

func within(t *testing.T, c *mistral.Client, limit time.Duration, stream bool) (mistral.ChatReply, mistral.Call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return c.Chat(ctx, ping(stream))
}

func TestAProxyThatWantsAPassword(t *testing.T) {
	t.Parallel()
	proxy := says(t, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", nil)
	network := out(t, outbound.Options{HTTPSProxy: proxy})
	_, call := client(t, "https://api.test", func(o *mistral.Options) { o.Out = network }).Models(t.Context())
	if call.Cause != checks.CauseProxy || call.Reason != "proxy_auth" || call.Evidence[len(call.Evidence)-1].Name != "proxy" {
		t.Errorf("got %+v", call)
	}
	noCanary(t, call)
}

func TestStreamsThatFail(t *testing.T) {
	t.Parallel()
	const (
		head  = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
		empty = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
		word  = `data: {"choices":[{"index":0,"delta":{"content":"pong"},"finish_reason":null}],"p":"abc"}` + "\n\n"
		end   = `data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1}}` + "\n\n"
		done  = "data: [DONE]\n\n"
	)
	finish := func(reason, content string) string {
		return `data: {"choices":[{"index":0,"delta":{"content":` + content + `},"finish_reason":"` + reason + `"}],"usage":{"completion_tokens":5}}` + "\n\n"
	}
	frame := func(body string) string { return "data: " + body + "\n\n" }
	reset := func(c net.Conn, _ <-chan struct{}) { outboundtest.Reset(c) }
	ticking := func(c net.Conn, closing <-chan struct{}) { // comments keep the connection, not the answer, alive
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-closing:
				return
			case <-ticker.C:
				if _, err := io.WriteString(c, ": still here\n\n"); err != nil {
					return
				}
			}
		}
	}
	tests := map[string]struct {
		body     string
		finish   func(net.Conn, <-chan struct{})
		cause    checks.Cause
		reason   string
		chunks   int
		deadline bool
	}{
		"well":                                {head + empty + word + end + done, nil, "", "", 1, false},
		"well, and the connection stays open": {head + empty + word + end + done, hang, "", "", 1, false},
		"without [DONE], but with its finish": {head + empty + word + end, nil, "", "", 1, false},
		"a reset after the finish":            {head + empty + word + end, reset, "", "", 1, false},
		"stalled before anything":             {head, hang, checks.CauseStreamStalled, "stalled", 0, false},
		"stalled after a word":                {head + empty + word, hang, checks.CauseStreamStalled, "stalled", 1, false},
		"only comments":                       {head + empty + word, ticking, checks.CauseStreamStalled, "stalled", 1, false},
		"one byte at a time":                  {head + empty + word, drip, checks.CauseStreamStalled, "stalled", 1, false},
		"truncated":                           {head + empty + word, nil, checks.CauseStreamTruncated, "no_end", 1, false},
		"closed before anything":              {head, nil, checks.CauseStreamTruncated, "no_end", 0, false},
		"chunks without end":                  {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + "5f\r\n" + empty[:95], nil, checks.CauseStreamTruncated, "no_end", 0, false},
		"a line without end":                  {head + "data: " + strings.Repeat("x", 300<<10), hang, checks.CauseResponseTooLarge, "line", 0, false},
		"more than the bound":                 {head + strings.Repeat(word, 13000), hang, checks.CauseResponseTooLarge, "body", -1, false},
		"finish_reason error":                 {head + empty + finish("error", `"x"`) + done, nil, checks.CauseServer, "finish_error", 1, false},
		"an error object":                     {head + empty + frame(`{"object":"error","message":"Service unavailable","code":"3800"}`), hang, checks.CauseServer, "code_3800", 0, false},
		"an error object about capacity":      {head + frame(`{"object":"error","type":"service_tier_capacity_exceeded","code":"3505"}`), hang, checks.CauseCapacity, "code_3505", 0, false},
		"an error object about the rate":      {head + frame(`{"error":{"type":"rate_limited","code":1300}}`), hang, checks.CauseRateLimited, "code_1300", 0, false},
		"a frame that is not JSON":            {head + empty + frame("{oops") + word + end + done, nil, checks.CauseMalformed, "frame", 1, false},
		"a frame that is not UTF-8":           {head + empty + frame("{\"a\":\"\xff\"}") + word + end + done, nil, checks.CauseMalformed, "frame", 1, false},
		"a broken frame before an error":      {head + frame(`{"choices":[...]}`) + frame(`{"object":"error","message":"x"}`), nil, checks.CauseServer, "http_500", 0, false},
		"nothing in it":                       {head + empty + finish("stop", `""`) + done, nil, checks.CauseEmptyContent, "empty", 0, false},
		"no choices":                          {head + frame(`{"choices":[]}`) + done, nil, checks.CauseEmptyContent, "empty", 0, false},
		"cut off while thinking":              {head + empty + finish("length", `[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]`) + done, nil, "", "", 1, false},
		"only thinking, and then stop":        {head + empty + finish("stop", `[{"type":"thinking","thinking":"hm"}]`) + done, nil, checks.CauseEmptyContent, "empty", 1, false},
		"length is a success":                 {head + empty + finish("length", `"p"`) + done, nil, "", "", 1, false},
		"HTML instead":                        {head + "<!DOCTYPE html><html>", nil, checks.CauseMalformed, "html", 0, false},
		"text instead":                        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nplease log in", nil, checks.CauseMalformed, "not_sse", 0, false},
		"one JSON object instead": {
			head + `{"choices":[{"index":0,"finish_reason":"stop","message":{"content":"pong"}}]}`, nil, "", "", 0, false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, stall := says(t, tt.body, tt.finish), 20*time.Second
			if tt.cause == checks.CauseStreamStalled {
				stall = 100 * time.Millisecond
			}
			chat := func() (mistral.ChatReply, mistral.Call) {
				return client(t, base, func(o *mistral.Options) { o.StallAfter, o.MaxBody = stall, 1<<20 }).Chat(t.Context(), ping(true))
			}
			reply, call := chat()
			for reply.Chunks < tt.chunks && stall < 5*time.Second { // on a busy machine the word may come too late
				stall *= 2
				reply, call = chat()
			}
			if call.Cause != tt.cause || call.Reason != tt.reason || call.Deadline != tt.deadline {
				t.Errorf("got %q %q %v, want %q %q %v: %s", call.Cause, call.Reason, call.Deadline, tt.cause, tt.reason, tt.deadline, call.Summary)
			}
			if tt.chunks >= 0 && reply.Chunks != tt.chunks {
				t.Errorf("got %d chunks, want %d", reply.Chunks, tt.chunks)
			}
			wholeCall(t, call)
			noCanary(t, []any{reply, call})
		})
	}
}

func TestTheDeadlineOfTheCallerEndsAStream(t *testing.T) {
	t.Parallel()
	base := says(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n", hang)
	c, limit := client(t, base, nil), 100*time.Millisecond
	_, call := within(t, c, limit, true)
	for call.Status == 0 && limit < 5*time.Second {
		limit *= 2
		_, call = within(t, c, limit, true)
	}
	if call.Cause != checks.CauseTimeout || !call.Deadline {
		t.Errorf("got %+v", call)
	}
}

func TestACallMakesOneRequest(t *testing.T) {
	t.Parallel()
	for _, reuse := range []bool{false, true} {
		var requests atomic.Int64
		base := "http://" + outboundtest.Raw(t, func(conn net.Conn, _ <-chan struct{}) {
			if n, _ := conn.Read(make([]byte, 4096)); n > 0 {
				requests.Add(1)
			}
		})
		c := client(t, base, func(o *mistral.Options) { o.ReuseConnections = reuse })
		for _, kind := range []string{"chat", "stream", "embed", "models"} {
			before := requests.Load()
			_, call := do(t.Context(), c, kind)
			if call.OK() || requests.Load() != before+1 {
				t.Errorf("%s: %d requests, %+v", kind, requests.Load()-before, call)
			}
		}
	}
}
