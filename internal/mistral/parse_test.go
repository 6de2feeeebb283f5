package mistral_test

import (
	"bufio"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []string
	}{
		"as Mistral sends them":        {"data: a\n\ndata: [DONE]\n\n", []string{"a", "[DONE]"}},
		"without the space":            {"data:a\n\n", []string{"a"}},
		"only one space goes":          {"data:  a\n\n", []string{" a"}},
		"CRLF":                         {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"comments and other fields":    {": hi\nevent: x\nid: 1\nretry: 5\ndata: a\n: more\n\n", []string{"a"}},
		"several lines":                {"data: a\ndata: b\ndata\n\n", []string{"a\nb\n"}},
		"a field that begins like it":  {"database: a\n\n", nil},
		"the end cuts the empty line":  {"data: a", []string{"a"}},
		"a byte order mark":            {"\xef\xbb\xbfdata: a\n\n", []string{"a"}},
		"empty lines before and after": {"\n\n\ndata: a\n\n\n\n", []string{"a"}},
		"nothing":                      {"", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mistral.Events(strings.NewReader(tt.in))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	for name, in := range map[string]string{
		"one line": "data: " + strings.Repeat("x", 300<<10), "one event": strings.Repeat("data: "+strings.Repeat("x", 1<<10)+"\n", 300),
	} {
		if _, err := mistral.Events(strings.NewReader(in)); !errors.Is(err, bufio.ErrTooLong) {
			t.Errorf("%s without end: %v", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	header := http.Header{
		"x-ratelimit-limit-req-minute": {"50"}, "X-RateLimit-Remaining-Req-Minute": {"49;w=60"},
		"X-Ratelimit-Remaining-Tokens-Month": {"7"}, "Ratelimitbysize-Limit": {"100"}, "Ratelimitbysize-Remaining": {"99"},
		"Ratelimitbysize-Reset": {"5"}, "X-Ratelimitbysize-Query-Cost": {"1"}, "X-Ratelimit-Limit-Requests": {"9.0"},
		"X-Ratelimit-Limit-Tokens-Second": {"many"}, "X-Ratelimit-Limit-Tokens-99999-Second": {"1"}, "X-Other": {"1"},
	}
	want := []mistral.RateLimit{
		{Resource: "bysize", Limit: 100, Remaining: 99, Header: "ratelimitbysize-limit"},
		{Resource: "requests", Window: "minute", Limit: 50, Remaining: 49, Header: "x-ratelimit-limit-req-minute"},
		{Resource: "requests", Limit: 9, Remaining: -1, Header: "x-ratelimit-limit-requests"},
		{Resource: "tokens", Window: "second", Limit: -1, Remaining: -1, Header: "x-ratelimit-limit-tokens-second"},
		{Resource: "tokens", Window: "month", Limit: -1, Remaining: 7, Header: "x-ratelimit-remaining-tokens-month"},
	}
	if got := mistral.Limits(header); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := mistral.Limits(nil); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, " 1.5 ": 1500 * time.Millisecond, "0": 0, "-3": 0, "86400": 24 * time.Hour, "86401": 0, "1e99": 0, "NaN": 0,
		"soon": 0, "Mon, 23 Nov 2026 12:01:00 GMT": time.Minute, "Mon, 23 Nov 2026 11:00:00 GMT": 0, "Mon, 23 Nov 2099 11:00:00 GMT": 0,
	} {
		if got := mistral.RetryAfter(value, now); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"2026-08-31T12:00:00Z": "2026-08-31T12:00:00Z", "2026-08-31T14:00:00+02:00": "2026-08-31T12:00:00Z", "2026-08-31": "2026-08-31T00:00:00Z",
		"2026-08-31T12:00:00": "2026-08-31T12:00:00Z", "1796083200": "2026-12-01T00:00:00Z", "1796083200000": "2026-12-01T00:00:00Z",
		"Mon, 31 Aug 2026 12:00:00 GMT": "2026-08-31T12:00:00Z", "": "0001-01-01T00:00:00Z", "never": "0001-01-01T00:00:00Z", "-1": "0001-01-01T00:00:00Z",
	} {
		if got := mistral.ParseTime(value).Format(time.RFC3339); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

func FuzzEvents(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Body)
	}
	f.Fuzz(func(t *testing.T, in string) {
		events, _ := mistral.Events(strings.NewReader(in))
		size := 0
		for _, event := range events {
			size += len(event)
		}
		if size > len(in) {
			t.Errorf("%d bytes out of %d", size, len(in))
		}
	})
}

func FuzzClassify(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Status, s.Body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		v := mistral.Classify(status, nil, []byte(body))
		if success := status >= 200 && status < 300; success != (v.Cause == checks.CauseNone) {
			t.Errorf("%d: %+v", status, v)
		}
		if _, known := v.Cause.Info(); v.Cause != "" && !known {
			t.Errorf("a cause outside the table: %+v", v)
		}
		for _, text := range []string{v.Reason, v.Type, v.Code, v.Detail} {
			if !utf8.ValidString(text) || len(text) > 200 || strings.ContainsAny(text, "\n\x00\x1b") {
				t.Errorf("not fit to print: %q", text)
			}
		}
	})
}

func FuzzLimits(f *testing.F) {
	f.Add("x-ratelimit-limit-req-minute", "50")
	f.Add("RateLimitBySize-Remaining", "-1")
	f.Fuzz(func(t *testing.T, name, value string) {
		for _, l := range mistral.Limits(http.Header{name: {value}}) {
			if l.Limit < -1 || l.Remaining < -1 || len(l.Window) > 20 || len(l.Resource) > 20 {
				t.Errorf("%+v", l)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("5")
	f.Add("Mon, 23 Nov 2026 12:01:00 GMT")
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := mistral.RetryAfter(value, now); got < 0 || got > 24*time.Hour {
			t.Errorf("%q: %s", value, got)
		}
		_ = mistral.ParseTime(value)
	})
}
