package datadog_test

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/datadog"
)

// FuzzLines: whatever a record holds, every line has the form that the Agent reads, and no text becomes a field, a tag or
// a line of its own.
func FuzzLines(f *testing.F) {
	hermetic(f)
	path := f.TempDir() + "/dsd.socket"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	f.Add("chat-small", "pong", "key", "value", "shop.x")
	f.Add("a|b\nc:1|c", "x|#evil:1\n_sc|y|0", "a:b,c", "d|T1,e", "shop|x:1")
	f.Add("\xff", "m:\x00", "", "\u2028", "é")
	f.Add(strings.Repeat("é", 300), strings.Repeat("|", 9000), strings.Repeat("K", 300), strings.Repeat("V", 300), "123")
	shape := regexp.MustCompile(`^(windsock\.[A-Za-z0-9_.]+:-?[0-9.]+\|[gc](\|#[^|]+)?\|T[0-9]+|_sc\|windsock\.check\|[0-3]\|d:[0-9]+(\|#[^|]+)?(\|m:[^|]*)?)$`)
	tags := regexp.MustCompile(`^\p{L}[\p{L}\p{Nd}_\-:./]*$`)
	f.Fuzz(func(t *testing.T, check, summary, key, value, name string) {
		e, err := datadog.New(datadog.Params{Address: path, Timeout: time.Second}, exporters.Env{Labels: map[string]string{key: value}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = e.Close() }()
		result := checks.Fail(checks.Cause(value), summary)
		result.Measurements = []checks.Measurement{{Name: name, Value: 1, Attrs: map[string]string{key: value}}}
		rec := ran("1", recently(), result)
		rec.Report.Check, rec.Report.Provider = check, value
		if _, err := e.Export(t.Context(), []checks.Record{rec}); err != nil {
			t.Fatal(err)
		}
		for _, line := range received(t, conn) {
			if !utf8.ValidString(line) || !shape.MatchString(line) {
				t.Errorf("line %q", line)
			}
			_, list, _ := strings.Cut(line, "|#")
			list, _, _ = strings.Cut(list, "|")
			for tag := range strings.SplitSeq(list, ",") {
				if list != "" && (!tags.MatchString(tag) || len(tag) > 200) {
					t.Errorf("tag %q of %q", tag, line)
				}
			}
		}
	})
}

// received are the lines of an attempt, whose last are its counts.
func received(t *testing.T, conn *net.UnixConn) []string {
	t.Helper()
	var lines []string
	packet := make([]byte, 1<<16)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(packet)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(packet[:n]), "\n"), "\n")...)
		if strings.HasPrefix(lines[len(lines)-1], "windsock.probe.failures:") {
			return lines
		}
	}
}
