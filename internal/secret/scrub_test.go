package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/secret"
)

const awkward = `kEy/+"<&>\` + "ü" + `=1234567890`

func TestScrubberKnowsEveryForm(t *testing.T) {
	jsonForm, err := json.Marshal(awkward)
	if err != nil {
		t.Fatal(err)
	}
	s := secret.NewScrubber()
	s.Add(awkward)
	for name, text := range map[string]string{
		"as it is":               awkward,
		"hex":                    hex.EncodeToString([]byte(awkward)),
		"hex in capitals":        strings.ToUpper(hex.EncodeToString([]byte(awkward))),
		"query escaped":          url.QueryEscape(awkward),
		"path escaped":           url.PathEscape(awkward),
		"escaped in small":       strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3C", "%3c", "%3E", "%3e", "%5C", "%5c", "%C3", "%c3", "%BC", "%bc", "%3D", "%3d").Replace(url.QueryEscape(awkward)),
		"JSON":                   string(jsonForm),
		"Go quoted":              fmt.Sprintf("%q", awkward),
		"base64":                 base64.StdEncoding.EncodeToString([]byte(awkward)),
		"base64 for URLs":        base64.URLEncoding.EncodeToString([]byte(awkward)),
		"base64 without padding": base64.RawStdEncoding.EncodeToString([]byte(awkward)),
	} {
		t.Run(name, func(t *testing.T) {
			got := s.String("before " + text + " after")
			if !strings.Contains(got, checks.Redacted) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || strings.Contains(got, text) {
				t.Errorf("got %q from %q", got, text)
			}
		})
	}
	for shift, user := range []string{"abc:", "ab:", "a:"} {
		basic := base64.StdEncoding.EncodeToString([]byte(user + awkward + "!"))
		got := s.String("Basic " + basic)
		if !strings.Contains(got, checks.Redacted) || len(got) > len("Basic ")+len(user)*2+len(checks.Redacted)+8 {
			t.Errorf("shift %d: got %q from %q", shift, got, basic)
		}
	}
}

// A plugin's log is scrubbed line by line.
func TestScrubberKnowsEachLineOfAKey(t *testing.T) {
	s := secret.NewScrubber()
	s.Add("-----BEGIN KEY-----\r\nMIIEvQIBADANBgkqhkiG\r\nshort\r\n9w0BAQEFAASCBKcwggSj\r\n-----END KEY-----\r\n")
	for line, want := range map[string]string{
		"level=INFO line=MIIEvQIBADANBgkqhkiG": "level=INFO line=" + checks.Redacted,
		"9w0BAQEFAASCBKcwggSj":                 checks.Redacted,
		"-----BEGIN KEY-----":                  "-----BEGIN KEY-----",
		"short":                                "short",
	} {
		if got := s.String(line); got != want {
			t.Errorf("got %q from %q, want %q", got, line, want)
		}
	}
}

func TestScrubberLeavesWordsAlone(t *testing.T) {
	s := secret.NewScrubber()
	s.Add("mistral") // seven letters
	s.Add("")
	if got := s.String("mistral is well"); got != "mistral is well" {
		t.Errorf("got %q", got)
	}
}

// A value is cut at every place, and no half of it comes through.
func TestWriterScrubsAcrossWrites(t *testing.T) {
	s := secret.NewScrubber()
	s.Add(canary)
	line := "level=error msg=\"" + canary + "\" next=can\n"
	want := "level=error msg=\"[redacted]\" next=can\n"
	for i := range line {
		var out bytes.Buffer
		w := s.Writer(&out)
		for _, part := range []string{line[:i], line[i:]} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("got %d, %v, want %d", n, err, len(part))
			}
		}
		if got := out.String(); got != want { // nothing waits after a whole line
			t.Errorf("cut at %d: got %q, want %q", i, got, want)
		}
	}
	var out bytes.Buffer
	w := s.Writer(&out)
	for _, b := range []byte(line) {
		_, _ = w.Write([]byte{b})
	}
	if got := out.String(); got != want {
		t.Errorf("byte by byte: got %q, want %q", got, want)
	}
}

func TestWriterHoldsOnlyWhatCouldBeAValue(t *testing.T) {
	s := secret.NewScrubber()
	s.Add(canary)
	var out bytes.Buffer
	w := s.Writer(&out)
	_, _ = w.Write([]byte("a word, then " + canary[:9]))
	if got := out.String(); got != "a word, then " {
		t.Errorf("got %q, want the end held back", got)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "a word, then "+canary[:9] {
		t.Errorf("after Flush: got %q", got)
	}
}

func TestWriterBehindALogger(t *testing.T) {
	s := secret.NewScrubber()
	var text, structured bytes.Buffer
	tw, jw := slog.New(slog.NewTextHandler(s.Writer(&text), nil)), slog.New(slog.NewJSONHandler(s.Writer(&structured), nil))
	s.Add(awkward) // learned after the writers were made
	for _, log := range []*slog.Logger{tw, jw} {
		log.Info("sent", "header", "Bearer "+awkward, "struct", struct{ K string }{awkward})
	}
	for name, out := range map[string]string{"text": text.String(), "JSON": structured.String()} {
		if strings.Contains(out, "1234567890") || strings.Count(out, checks.Redacted) != 2 {
			t.Errorf("%s: got %s", name, out)
		}
	}
}

func TestRotatedValuesStayKnown(t *testing.T) {
	s := secret.NewScrubber()
	for i := range 300 {
		s.Add(fmt.Sprintf("rotated-value-%04d", i))
	}
	for i, want := range map[int]bool{299: true, 44: true, 0: false} {
		text := fmt.Sprintf("rotated-value-%04d", i)
		if got := s.String(text) == checks.Redacted; got != want {
			t.Errorf("value %d: redacted is %v, want %v", i, got, want)
		}
	}
}

func FuzzWriter(f *testing.F) {
	f.Add("x"+canary+"y", 5, 9)
	f.Fuzz(func(t *testing.T, text string, a, b int) {
		s := secret.NewScrubber()
		s.Add(canary)
		var out bytes.Buffer
		w := s.Writer(&out)
		a, b = max(0, min(a, len(text))), max(0, min(b, len(text)))
		for _, part := range []string{text[:min(a, b)], text[min(a, b):max(a, b)], text[max(a, b):]} {
			_, _ = w.Write([]byte(part))
		}
		_ = w.Flush()
		if got, want := out.String(), s.String(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A program of the same user can print the agent's environment before the agent has used what is in it.
func TestAKeyOfTheEnvironmentIsKnownBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	r := secret.NewResolver(secret.Options{Getenv: func(name string) string { return map[string]string{"KEY": canary}[name] }})
	if _, err := r.Secret(secret.Ref{Env: "KEY"}); err != nil {
		t.Fatal(err)
	}
	if got := r.Scrubber().String("KEY=" + canary); strings.Contains(got, canary) {
		t.Errorf("got %q, want the value taken out", got)
	}
}
