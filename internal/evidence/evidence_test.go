package evidence_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/evidence"
	"github.com/windsock-monitor/windsock/internal/secret"
)

const canary = "canary-key-8f2e61b7c9d04a53"

func redactor() *evidence.Redactor {
	r := evidence.NewRedactor(secret.NewScrubber())
	r.Know(canary)
	return r
}

func TestWhatTheRedactorTakesOut(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"a known key":                  {"used " + canary + " twice", "used [redacted] twice"},
		"its beginning":                {"begins with canary-key-8f", "begins with [redacted]"},
		"its end":                      {"ends in b7c9d04a53", "ends in [redacted]"},
		"base64":                       {"as " + base64.StdEncoding.EncodeToString([]byte("user:"+canary)), "as [redacted]"},
		"a part of hex":                {"as " + hex.EncodeToString([]byte(canary))[:30], "as [redacted]"},
		"a prompt with a longer name":  {`user_prompt="who is she" lastMessage='hi' took=3ms`, `user_prompt=[redacted] lastMessage=[redacted] took=3ms`},
		"a text of an answer":          {`{"type":"text","text":"Paris","n":1}`, `{"type":"text","text":[redacted],"n":1}`},
		"a request in a text of JSON":  {`{"msg":"sent {\"role\":\"user\",\"content\":\"who is she\"}"}`, `{"msg":"sent {\"role\":\"user\",\"content\":[redacted]`},
		"a key in a text of JSON":      {`{"msg":"{\"api_key\":\"hunter2\",\"n\":1}"}`, `{"msg":"{\"api_key\":[redacted]\",\"n\":1}"}`},
		"an option of a program":       {"ran tool --password hunter2 --retries 3", "ran tool --password [redacted] --retries 3"},
		"a key by its owner":           {"MISTRAL_KEY=hunter2 PORT=1", "MISTRAL_KEY=[redacted] PORT=1"},
		"all headers":                  {`sent headers={"x-team": "blue"} to it`, `sent headers=[redacted]`},
		"headers as Go prints them":    {`sent headers=map[X-Team:[blue]] to it`, `sent headers=[redacted]`},
		"hex":                          {"as " + hex.EncodeToString([]byte(canary)) + ".", "as [redacted]."},
		"a header":                     {"Authorization: Basic abc", "Authorization: [redacted]"},
		"a header in JSON":             {`{"x-api-key": "plain"}`, `{"x-api-key": [redacted]`},
		"a cookie":                     {"Cookie: session=1; theme=dark", "Cookie: [redacted]"},
		"bearer":                       {"sent Bearer abcdef123 to it", "sent Bearer [redacted] to it"},
		"an assignment":                {"DB_PASSWORD=hunter2 PORT=1", "DB_PASSWORD=[redacted] PORT=1"},
		"an assignment in YAML":        {"client_secret: s3cr3t", "client_secret: [redacted]"},
		"an assignment in JSON":        {`{"access_token":"a b","x":1}`, `{"access_token":[redacted],"x":1}`},
		"user and password of a URL":   {"postgres://app:pw@db/shop", "postgres://[redacted]@db/shop"},
		"the query of a URL":           {"GET https://a.example/x?key=1&y=2 200", "GET https://a.example/x?[redacted] 200"},
		"a prompt in JSON":             {`{"prompt":"who is \"she\"","n":1}`, `{"prompt":[redacted],"n":1}`},
		"messages":                     {`{"messages":[{"role":"user","content":"hi"}]}`, `{"messages":[redacted]`},
		"an answer in a log":           {`answer="Paris" took=3ms`, `answer=[redacted] took=3ms`},
		"an answer that is not quoted": {`took=3ms completion=Paris is the capital`, `took=3ms completion=[redacted]`},
		"an address of e-mail":         {"by ada@example.com", "by [redacted]"},
		"a key that nobody knows":      {"with sk-Zx81hQpL0vTn42mWcRy7", "with [redacted]"},
		"a private key":                {"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nmore", "[redacted]\nmore"},
		"an id of the agent":           {"run 01JTQZ8F6Y0S9V3T6W2N5XKQ7M ended", "run 01JTQZ8F6Y0S9V3T6W2N5XKQ7M ended"},
		"a UUID":                       {"request 0198c0de-1234-7abc-8def-0123456789ab", "request 0198c0de-1234-7abc-8def-0123456789ab"},
		"a digest of an image":         {"shop@sha256:" + strings.Repeat("0123456789abcdef", 4), "shop@sha256:" + strings.Repeat("0123456789abcdef", 4)},
		"names of models and of hosts": {"mistral-small-2506 and open-mixtral-8x22b-2404 at api.mistral.ai:443", "mistral-small-2506 and open-mixtral-8x22b-2404 at api.mistral.ai:443"},
		"a path":                       {"/var/lib/windsock/2026/11/28/windsock.db-wal", "/var/lib/windsock/2026/11/28/windsock.db-wal"},
		"times and numbers":            {"2026-11-28T12:00:00.123456Z took 3.25s, prompt_tokens=12 max_tokens: 16", "2026-11-28T12:00:00.123456Z took 3.25s, prompt_tokens=12 max_tokens: 16"},
		"a sentence":                   {"500 server (code 1000), was ok: the key was refused", "500 server (code 1000), was ok: the key was refused"},
	}
	for name, tt := range tests {
		if got := redactor().String(tt.text); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tt.want)
		}
	}
}

func TestWhatIsTakenOutOfALog(t *testing.T) {
	t.Parallel()
	const at = "2026-05-08T10:00:00Z "
	tests := map[string]struct{ text, want string }{
		"what somebody said":               {at + "User: who is she\n" + at + "200 OK\n", at + "User: [redacted]\n" + at + "200 OK\n"},
		"and goes on saying":               {at + "answer: Paris\nis the capital\n\n  of France\n" + at + "200 OK\n", at + "answer: [redacted]\n[redacted]\n\n[redacted]\n" + at + "200 OK\n"},
		"a quote over lines":               {at + "prompt=\"who\nis she\" n=1\n" + at + "200 OK\n", at + "prompt=[redacted]\n[redacted]\n" + at + "200 OK\n"},
		"a log without times":              {"prompt: who\n\tis she\nGET /v1/chat\n", "prompt: [redacted]\n[redacted]\nGET /v1/chat\n"},
		"a trace of something else":        {at + "panic: no such file\n\tmain.go:12\n", at + "panic: no such file\n\tmain.go:12\n"},
		"a status, a count and an address": {at + "response: 500\n" + at + "users: 12 answer=ok\n", at + "response: 500\n" + at + "users: 12 answer=[redacted]\n"},
	}
	for name, tt := range tests {
		if got := redactor().Log(tt.text); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.want)
		}
	}
}

// TestARequestIDThatIsASentenceIsNone: the header is the server's, and so is what stands in it.
func TestARequestIDThatIsASentenceIsNone(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"0198c0de-1234-7abc-8def-0123456789ab": "0198c0de-1234-7abc-8def-0123456789ab", "a1b2:c3.d4_e5": "a1b2:c3.d4_e5",
		"you asked: who is she": checks.Redacted, strings.Repeat("a", 200): checks.Redacted,
	} {
		record := checks.OfReport(&checks.Report{ID: "x", Result: checks.Result{Facts: map[string]string{"request_id": given}}})
		if text, err := json.Marshal(evidence.Record(&record)); err != nil || !strings.Contains(string(text), `"request_id":"`+want+`"`) {
			t.Errorf("%q: %v, it is kept as %s, want %q", given, err, text, want)
		}
	}
}

// TestACutThroughAKeyLeavesNoPartOfIt: a line that is too long is cut before its words are looked at.
func TestACutThroughAKeyLeavesNoPartOfIt(t *testing.T) {
	t.Parallel()
	for before := 4<<10 - 30; before < 4<<10+2; before++ {
		for _, sign := range []string{" ", "="} {
			line := "2026-05-08T10:00:00Z " + strings.Repeat("x", before-22) + sign + canary + " and more\n"
			text, _ := evidence.Excerpt(line, evidence.Span{From: time.Date(2026, 5, 8, 9, 0, 0, 0, time.UTC), To: time.Date(2026, 5, 8, 11, 0, 0, 0, time.UTC)})
			if got := redactor().Log(text); strings.Contains(got, canary[:3]) {
				t.Fatalf("%d bytes and %q before the key: the log ends in %q", before, sign, got[len(got)-40:])
			}
		}
	}
}

func TestOfAURLThatIsASecretTheHostIsNone(t *testing.T) {
	t.Parallel()
	r := evidence.NewRedactor(secret.NewScrubber())
	r.Know("https://ping.example.com/0198c0de-1234-7abc-8def-0123456789ab")
	for text, want := range map[string]string{
		"at https://ping.example.com/0198c0de-1234-7abc-8def-0123456789ab": "at [redacted]",
		"the path 0198c0de-1234-7abc is cut":                               "the path [redacted] is cut",
		"https://ping.example.com is down, so is ping.example.com:443":     "https://ping.example.com is down, so is ping.example.com:443",
	} {
		if got := r.String(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// FuzzRedactor plants the key at any place of any text, in each form: it never comes out.
func FuzzRedactor(f *testing.F) {
	for _, before := range []string{"", "Bearer ", `{"a":"`, "x=", "https://a/?k=", "\u200b", "-----BEGIN X-----"} {
		f.Add(before, "\n")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, form := range []string{canary, url.QueryEscape(canary), hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(before + canary + after)), strings.ToUpper(canary)} {
			if found := checktest.Leak(redactor().String(before+" "+form+" "+after), canary); found != "" && checktest.Leak(before+after, canary) == "" {
				t.Errorf("%q, %q: the key comes out (%s)", before, after, found)
			}
		}
	})
}

func bundle(t *testing.T) *evidence.Bundle {
	t.Helper()
	b := evidence.New(evidence.Manifest{Incident: "01JTQZ8F6Y0S9V3T6W2N5XKQ7M", CollectedAt: time.Unix(1e9, 0).UTC(), RetainUntil: "2026-02-26"}, redactor())
	b.Text("log.txt", "GET / 500\nkey "+canary+"\n")
	record := checks.OfReport(&checks.Report{
		ID: "01JTQZ8F6Y0S9V3T6W2N5XKQ7M", Check: "hello", Labels: map[string]string{"note": canary}, Result: checks.Result{
			Summary: "500: " + canary, Facts: map[string]string{"request_id": "0123456789abcdef0123456789abcdef", "answer": "Paris"},
			Measurements: []checks.Measurement{{Name: "probe.duration", Value: 1, Attrs: map[string]string{"model": "m", "who": "ada"}}},
		},
	})
	if err := errors.Join(b.Lines("records.ndjson", []any{evidence.Record(&record)}), b.JSON("x.json", map[string]string{"a" + canary: "b"})); err != nil {
		t.Fatal(err)
	}
	b.Without("kubectl", "failed with "+canary)
	return b
}

func written(t *testing.T, b *evidence.Bundle) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := b.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpacked(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for reader := tar.NewReader(zipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(text)
	}
}

func TestTheSameInputGivesTheSameArchive(t *testing.T) {
	t.Parallel()
	if !bytes.Equal(written(t, bundle(t)), written(t, bundle(t))) {
		t.Error("two archives of the same differ")
	}
}

func TestTheManifestTellsWhatIsInTheArchive(t *testing.T) {
	t.Parallel()
	files := unpacked(t, written(t, bundle(t)))
	const folder = "windsock-evidence-01JTQZ8F6Y0S9V3T6W2N5XKQ7M/"
	var m evidence.Manifest
	if err := json.Unmarshal([]byte(files[folder+"manifest.json"]), &m); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := files[folder+"manifest.json"]; got != string(golden) {
		t.Errorf("the manifest differs from testdata/manifest.json; got:\n%s", got)
	}
	for _, f := range m.Files {
		sum := sha256.Sum256([]byte(files[folder+f.Name]))
		if f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes != len(files[folder+f.Name]) {
			t.Errorf("%s: %+v does not fit its file", f.Name, f)
		}
	}
	if len(m.Files) != 3 || m.Redacted[evidence.RuleKnown] != 3 || m.Files[0].Redacted[evidence.RuleKnown] != 1 || len(m.Left) != 1 {
		t.Errorf("got %+v", m)
	}
	for name, text := range files {
		if !strings.HasPrefix(name, folder) {
			t.Errorf("%s is not in the one folder", name)
		}
		if form := checktest.Leak(text, canary); form != "" {
			t.Errorf("%s holds the key (%s)", name, form)
		}
	}
	record := files[folder+"records.ndjson"]
	if !strings.Contains(record, "0123456789abcdef0123456789abcdef") || strings.Contains(record, "Paris") || strings.Contains(record, "ada") || strings.Contains(record, "labels") {
		t.Errorf("the record is not what the list says: %s", record)
	}
}

// TestAFieldThatIsNotOnTheListIsInNoRecord fills every field of a report with a word, and looks where it comes out.
func TestAFieldThatIsNotOnTheListIsInNoRecord(t *testing.T) {
	t.Parallel()
	report := &checks.Report{Result: checks.Result{
		Facts: map[string]string{"request_id": "kept-1", "secret_fact": "left-1"}, Measurements: []checks.Measurement{{Name: "m", Attrs: map[string]string{"model": "kept-2", "other": "left-2"}}},
	}, Labels: map[string]string{"any": "left-3"}}
	data, err := json.Marshal(evidence.Record(new(checks.OfReport(report))))
	if err != nil {
		t.Fatal(err)
	}
	alert, err := json.Marshal(evidence.Record(&checks.Record{Alert: &checks.Alert{
		Labels: map[string]string{"check": "kept-3", "any": "left-4"}, Diagnosis: "left-5", Impact: "left-6", Action: "left-7", Runbook: "left-8", Commander: "left-9",
	}}))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data) + string(alert)
	for n := 1; n <= 9; n++ {
		if word := fmt.Sprintf("left-%d", n); strings.Contains(text, word) {
			t.Errorf("%s is in %s", word, text)
		}
	}
	for n := 1; n <= 3; n++ {
		if word := fmt.Sprintf("kept-%d", n); !strings.Contains(text, word) {
			t.Errorf("%s is not in %s", word, text)
		}
	}
}

// TestTheListIsLookedAtWhenARecordGrows fails when a report or an alert gains a field: whoever adds it says here whether
// evidence keeps it.
func TestTheListIsLookedAtWhenARecordGrows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		of   reflect.Type
		want []string
	}{
		{reflect.TypeFor[checks.Report](), []string{"ID", "Check", "Kind", "Provider", "Location", "Labels", "ScheduledAt", "StartedAt", "Took", "Timeout", "Trigger", "Attempt", "Final", "Slots", "Result"}},
		{reflect.TypeFor[checks.Result](), []string{"Status", "Cause", "Blame", "Summary", "Measurements", "Phases", "Evidence", "Usage", "Facts"}},
	} {
		var got []string
		for field := range tt.of.Fields() {
			got = append(got, field.Name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s has the fields %v; add the new one to allow.go or to the fields that are left out, and then here", tt.of, got)
		}
	}
}

func TestAFileHasItsNameWhenItIsWhole(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		ctx   context.Context
		name  string
		there string
		force bool
		write func(io.Writer) error
		want  error
		holds string
	}{
		"well":                            {name: "a", write: say("new"), holds: "new"},
		"there is one":                    {name: "a", there: "old", write: say("new"), want: fs.ErrExist, holds: "old"},
		"there is one, with force":        {name: "a", there: "old", force: true, write: say("new"), holds: "new"},
		"no room":                         {name: "a", write: failing(unix.ENOSPC), want: unix.ENOSPC},
		"no room, with force":             {name: "a", there: "old", force: true, write: failing(unix.ENOSPC), want: unix.ENOSPC, holds: "old"},
		"interrupted":                     {ctx: gone, name: "a", write: say("new"), want: context.Canceled},
		"interrupted in the middle":       {name: "a", write: failing(context.Canceled), want: context.Canceled},
		"no such folder":                  {name: "b/a", write: say("new"), want: fs.ErrNotExist},
		"a folder of that name":           {name: ".", write: say("new"), want: fs.ErrExist},
		"a folder of that name, by force": {name: ".", force: true, write: say("new"), want: fs.ErrExist},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, tt.name)
			if tt.there != "" {
				if err := os.WriteFile(path, []byte(tt.there), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			if err := evidence.WriteFile(ctx, path, tt.force, tt.write); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			left, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if wanted := min(len(tt.holds), 1); len(left) != wanted {
				t.Fatalf("%v are in the folder, want %d", left, wanted)
			}
			if tt.holds == "" {
				return
			}
			data, err := os.ReadFile(path)
			info, _ := os.Stat(path)
			if err != nil || string(data) != tt.holds || info.Mode().Perm() != 0o600 {
				t.Errorf("it holds %q with mode %o (%v), want %q with 0600", data, info.Mode().Perm(), err, tt.holds)
			}
		})
	}
}

func say(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func failing(err error) func(io.Writer) error {
	return func(w io.Writer) error {
		_, _ = io.WriteString(w, strings.Repeat("half of it ", 1<<16))
		return err
	}
}

func TestWhichLinesOfALogAreOfTheTime(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 5, 8, 10, 0, 0, 0, time.UTC)
	span := evidence.Span{From: from, To: from.Add(time.Hour)}
	tests := map[string]struct{ log, want, note string }{
		"by their time":             {"2026-05-08T09:59:59Z a\n2026-05-08T10:00:00Z b\n2026-05-08T11:00:00.5Z c\n2026-05-08T11:00:02Z d\n", "2026-05-08T10:00:00Z b\n2026-05-08T11:00:00.5Z c\n", ""},
		"with the line before":      {"2026-05-08T09:00:00Z a\n  b\n2026-05-08T10:00:00Z c\n  d\n", "2026-05-08T10:00:00Z c\n  d\n", ""},
		"in another zone":           {"time=2026-05-08T12:30:00.000+02:00 level=INFO\n", "time=2026-05-08T12:30:00.000+02:00 level=INFO\n", ""},
		"with a space and a comma":  {"2026-05-08 10:30:00,123 +0000 x\n2026-05-08 09:30:00,123 +0000 y\n", "2026-05-08 10:30:00,123 +0000 x\n", ""},
		"where none has a time":     {"a\nb\n", "a\nb\n", "no line has a time: these are the last 1000 at most"},
		"where none is of the time": {"2026-05-08T09:00:00Z a\n", "", ""},
		"of an empty log":           {"", "", ""},
		"of one that is no text":    {"2026-05-08T10:00:00Z \xff\x00\n", "2026-05-08T10:00:00Z \uFFFD\x00\n", ""},
	}
	for name, tt := range tests {
		if text, note := evidence.Excerpt(tt.log, span); text != tt.want || note != tt.note {
			t.Errorf("%s: got %q (%s), want %q (%s)", name, text, note, tt.want, tt.note)
		}
	}
}

func TestALogIsBounded(t *testing.T) {
	t.Parallel()
	span := evidence.Span{From: time.Unix(0, 0), To: time.Now()}
	log := "2026-01-01T00:00:00Z first\n" + strings.Repeat(strings.Repeat("x", 10_000)+"\n", 600) + "last\n"
	text, note := evidence.Excerpt(log, span)
	if len(text) > 1<<20+20_000 || !strings.HasPrefix(text, "2026-01-01T00:00:00Z first\n") || !strings.HasSuffix(text, "last\n") || !strings.Contains(note, "lines in the middle are left out") {
		t.Errorf("%d bytes, %s", len(text), note)
	}
}

func TestALogThatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, filepath.Join(dir, "nowhere"), "/dev/zero"} {
		if text, _, err := evidence.LogFile(path, evidence.Span{}); err == nil {
			t.Errorf("%s: got %q, want an error", path, text)
		}
	}
}

func TestAUnitThatIsNone(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"", "--version", "a b", "x;reboot", "../x", "$(id)"} {
		if _, _, err := (evidence.Programs{Getenv: func(string) string { return "" }}).Journal(t.Context(), unit, evidence.Span{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q: got %v, want a refusal", unit, err)
		}
	}
}

// programs are those of a folder with a kubectl that is this script, and sees no variable of ours.
func programs(t *testing.T, script string, most time.Duration) evidence.Programs {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PATH": dir + ":relative:/usr/bin:/bin", "HOME": "/nonexistent", "MISTRAL_API_KEY": canary}
	return evidence.Programs{Getenv: func(name string) string { return env[name] }, Most: most, Keep: 64 << 10}
}

func TestWhatKubectlMayDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script string
		want   string // of the error; "" is none
	}{
		"tells":                 {`echo '{"kind":"List","items":[]}'`, ""},
		"is expired":            {"echo >&2; echo 'error: You must be logged in' >&2; exit 1", "kubectl failed (exit code 1): error: You must be logged in"},
		"hangs":                 {"exec sleep 60", "kubectl did not end within"},
		"hangs with a child":    {"sleep 60 & wait", "kubectl did not end within"},
		"prints no JSON":        {"echo FLAG_COLOUR=blue", "kubectl printed 17 bytes that are no JSON"},
		"prints another thing":  {`echo '{"items":[{"metadata":3}]}'`, "kubectl printed something else"},
		"floods":                {"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", "kubectl printed more than"},
		"is killed":             {"kill -9 $$", "kubectl failed (killed)"},
		"sees no key of ours":   {`[ -z "$MISTRAL_API_KEY" ] && [ "$HOME" = /nonexistent ] || exit 9; echo '{"kind":"List","items":[]}'`, ""},
		"logs before it speaks": {`echo 'E1128 13:11:09.549889   23075 memcache.go:265] "Unhandled Error"' >&2; echo 'The connection was refused' >&2; exit 1`, "kubectl failed (exit code 1): The connection was refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			most := 20 * time.Second
			if strings.HasPrefix(name, "hangs") {
				most = 200 * time.Millisecond
			}
			_, err := programs(t, tt.script, most).AskCluster(t.Context(), nil)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	none := evidence.Programs{Getenv: func(string) string { return "" }}
	if _, err := none.AskCluster(t.Context(), nil); !errors.Is(err, evidence.ErrAbsent) {
		t.Errorf("without kubectl: %v", err)
	}
}

func TestAnAddressIsKeptWithoutWhatMayBeASecret(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://u:p@a.example:8443/v1?key=1#x": "https://a.example:8443/v1",
		"http://127.0.0.1:9090":                 "http://127.0.0.1:9090",
		"u:p@proxy:3128":                        "[redacted]",
		"https://%zz":                           "[redacted]",
	} {
		if got := evidence.Address(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
