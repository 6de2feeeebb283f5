package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// Whatever an application answers is a valid result that does not quote it, and good only with the word for it.
func FuzzHealth(f *testing.F) {
	for _, seed := range []string{
		inside, `{"status":"healthy"}`, `{"status":"UP"}`, `{"services":[]}`, `{"services":{"mistral":null}}`, `[]`, `null`, ``, `<html>`, `"healthy"`,
		`{"status":"healthy","error":"Bearer abc123def456ghi789"}`, `{"status":"unhealthy","error":"Traceback (most recent call last):"}`,
		`{"status":"healthy","latencyMs":1e309,"timestamp":"x"}`, `{"status":"healthy","timestamp":1e18}`, `{"services":{"mistral":{"status":"healthy"}},"services":{}}`,
		"\xef\xbb\xbf{}", "{\"status\":\"\xff\"}", `{"STATUS":"healthy","model":"a\u0000b"}`, strings.Repeat("[", 11000),
	} {
		f.Add(http.StatusOK, []byte(seed))
		f.Add(http.StatusServiceUnavailable, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		out := outboundtest.Canned{Status: status, Body: body}
		check, err := app.Kind().New(checktest.Decoder("url: http://app.test/health\nmax_age: 1h", key), checks.Env{Network: out})
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := checktest.Valid(r); err != nil && status != 0 {
			t.Errorf("%d %q: %v", status, body, err)
		}
		if r.Status == checks.OK && (status < 200 || status > 299 || !strings.Contains(strings.ToLower(string(body)), "y")) {
			t.Errorf("%d %q is OK: %s", status, body, r.Summary)
		}
	})
}

// BenchmarkHostile is the time that looking through the largest body takes.
func BenchmarkHostile(b *testing.B) {
	for name, unit := range map[string]string{
		"at": "at /a (", "in": " in a.cs", "dots": "a.go:1 ", "bearer": "bearer aaaaaaaaaaaa ", "alnum": "aB1", "file": `File "`, "escapes": `\u0041`, "keys": `{"a":`, "brackets": "[",
	} {
		body := []byte(`{"status":"healthy","error":"` + strings.ReplaceAll(strings.Repeat(unit, (255<<10)/len(unit)), `"`, `\"`) + `"}`)
		if len(body) > 256<<10 {
			body = append(body[:200<<10], `"}`...)
		}
		check, err := app.Kind().New(checktest.Decoder("url: http://app.test/health", key), checks.Env{Network: outboundtest.Canned{Status: 200, Body: body}})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := check.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
