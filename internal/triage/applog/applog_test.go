package applog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/triage/applog"
)

const key = "cAnArY0f7h3L0gs8f2e61b7c9d04a53Z"

func now() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }

func read(t *testing.T, text string) *applog.Found {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := applog.Read(t.Context(), file, applog.Options{Now: now(), Scrub: strings.NewReplacer(key, checks.Redacted).Replace})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestALineIsCountedByWhatWentWrong(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]checks.Cause{
		`{"level":"error","status":401,"msg":"mistral"}`:           checks.CauseAuth,
		`error: request failed with status code 402`:               checks.CausePayment,
		`level=error status_code=403 model not allowed`:            checks.CauseForbidden,
		`HTTP 429 Too Many Requests`:                               checks.CauseRateLimited,
		`status: 429 service tier capacity exceeded`:               checks.CauseCapacity,
		`API error occurred: Status 503`:                           checks.CauseServer,
		`status 400 invalid_model`:                                 checks.CauseModelGone,
		`status=422 extra_forbidden`:                               checks.CauseBadRequest,
		`Error: getaddrinfo ENOTFOUND api.mistral.ai`:              checks.CauseDNS,
		`connect ECONNREFUSED 192.0.2.1:443`:                       checks.CauseConnect,
		`x509: certificate signed by unknown authority`:            checks.CauseTLS,
		`context deadline exceeded`:                                checks.CauseTimeout,
		`"GET /health HTTP/1.1" 200 12`:                            checks.CauseNone,
		`"GET /favicon.ico HTTP/1.1" 404 12`:                       checks.CauseNone,
		`served 503 customers`:                                     checks.CauseNone,
		`{"level":"info","status":200,"took_ms":429,"tokens":500}`: checks.CauseNone,
		`"POST /chat HTTP/1.1" 502 0`:                              checks.CauseServer,
		`mistral responded with 503`:                               checks.CauseServer,
		`mistral returned 429, giving up`:                          checks.CauseRateLimited,
		`upstream: 503 Service Unavailable`:                        checks.CauseServer,
		`POST /api/chat 500 12.345 ms - 21`:                        checks.CauseServer,
		`query returned 500 rows`:                                  checks.CauseNone,
		`received 429 tokens`:                                      checks.CauseNone,
	} {
		found := read(t, line+"\n")
		if got := found.Worst(); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
		if found.Lines != 1 {
			t.Errorf("%s: %d lines", line, found.Lines)
		}
	}
}

func TestOnlyTheLastQuarterOfAnHourCounts(t *testing.T) {
	t.Parallel()
	found := read(t, "2026-11-28T11:40:00Z status=500\n  at old\n2026-11-28T11:50:00Z status=429\n2026-11-28 11:59:00+00:00 status=429\n2026-11-28T11:59:30Z fine\n")
	if found.Lines != 3 || found.Errors != 2 || found.By[checks.CauseRateLimited] != 2 {
		t.Errorf("%+v", found)
	}
	if got, want := found.Summary(), "3 lines, 2 of failed calls: 2 rate limited"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A time without a zone may be anybody's: what counts is the end of the log, and nothing of what was long ago everywhere.
func TestTimesOfOtherFormsCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"2026-11-21 11:59:00,123 ERROR status=500\n  status=500\n":                                                        0,
		"2026-11-21 11:59:00,123 ERROR status=500\n2026-11-28 11:58:00,123 fine\n":                                        0,
		"2026-11-28 04:30:00,123 ERROR status=500\n2026-11-28 04:58:00,123 ERROR status=500\n":                            1,
		"2026/11/28 13:30:00 status=500\n2026/11/28 13:58:00 fine\n2026/11/28 13:59:00 status=500\n":                      1,
		`127.0.0.1 - - [28/Nov/2026:10:00:00 +0000] "POST /chat HTTP/1.1" 500 12` + "\n":                                  0,
		`127.0.0.1 - - [28/Nov/2026:13:59:00 +0200] "POST /chat HTTP/1.1" 500 12` + "\n":                                  1,
		`{"level":50,"time":1795860000000,"status":500}` + "\n" + `{"level":50,"time":1795867100000,"status":500}` + "\n": 1,
	} {
		if found := read(t, text); found.Errors != want {
			t.Errorf("%s: %d, want %d: %s", text, found.Errors, want, found.Summary())
		}
	}
}

func TestFewAreNextToNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		strings.Repeat("fine\n", 1000) + "status=503\n":                    true,
		strings.Repeat("fine\n", 1000) + "status=401\n":                    false,
		strings.Repeat("fine\n", 1000):                                     false,
		strings.Repeat("fine\n", 10) + "status=503\n":                      false,
		strings.Repeat("fine\n", 9000) + strings.Repeat("status=503\n", 4): false,
	} {
		if found := read(t, text); found.Few() != want {
			t.Errorf("%s: %v, want %v", found.Summary(), found.Few(), want)
		}
	}
}

func TestASampleShowsNothingThatIsSecret(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"status=401 Authorization: Bearer " + key, `{"status":401,"api_key":"` + key + `"}`, "status=401 " + key, "status=401 " + key[:9] + "\x1b[0m" + key[9:],
		"status=401 sk-live-0123456789abcdef", "status=401 https://user:hunter2hunter@host/x", "status=401 from ann@example.com", "status=401 password=hunter2hunter",
		`{"status":400,"prompt":"tell me a secret of mine","answer":"the secret of yours"}`, `status=400 prompt="tell me a secret" x`,
		`{"status":400,"messages":[{"role":"user","content":"a secret"}]}`, `status=400 body={\"content\":\"a secret\"}`, "status=400 question=what is the secret",
		"status=500 \x00\x07\x1b]0;secret\x07 \u202esecret\u202c \xff\xfe",
	} {
		found := read(t, line+"\n")
		text := strings.Join(found.Samples, "\n")
		if len(found.Samples) != 1 || checktest.Leak(text, key) != "" || strings.Contains(text, key[:9]) || strings.Contains(text, key[9:]) {
			t.Errorf("%q: %q", line, found.Samples)
		}
		for _, word := range []string{"hunter2", "sk-live", "ann@", "tell me", "of yours", "a secret", "the secret", "\x1b", "\x00", "\x07", "\u202e", "\xff"} {
			if strings.Contains(text, word) {
				t.Errorf("%q shows %q: %q", line, word, text)
			}
		}
		if len(text) > 200 {
			t.Errorf("%q: %d bytes", line, len(text))
		}
	}
}

func TestALogThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, source := range []string{filepath.Join(dir, "nowhere"), dir, "/dev/zero", "unit:", "unit:-x", "unit:a;b", "unit:../x"} {
		if found, err := applog.Read(t.Context(), source, applog.Options{Now: now()}); err == nil {
			t.Errorf("%s: %+v", source, found)
		}
	}
}

// The journal is asked by its program, without a shell.
func TestAUnitIsReadFromTheJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "journalctl")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >%s/asked\necho status=429\necho fine\n", dir)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := applog.Read(t.Context(), "unit:shop.service", applog.Options{Now: now(), Journalctl: program})
	if err != nil || found.Lines != 2 || found.Errors != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil || !strings.Contains(string(asked), "--unit=shop.service") || !strings.Contains(string(asked), fmt.Sprintf("--since=@%d", now().Add(-applog.Back).Unix())) {
		t.Errorf("asked %q, %v", asked, err)
	}
}

func TestALargeLogIsReadFromItsEnd(t *testing.T) {
	t.Parallel()
	found := read(t, strings.Repeat("status=500 "+strings.Repeat("x", 4000)+"\n", 4000)+"status=401\n")
	if found.By[checks.CauseAuth] != 1 || found.Lines > applog.Most/4000 {
		t.Errorf("%d lines, %v", found.Lines, found.By)
	}
}
