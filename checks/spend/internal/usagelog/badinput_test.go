package usagelog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
	"github.com/windsock-monitor/windsock/checks/spend/internal/usagelog"
)

const secret = "a-prompt-nobody-may-see"

func utf16le(text string) string {
	var out strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		out.WriteByte(byte(u))
		out.WriteByte(byte(u >> 8))
	}
	return out.String()
}

// Each line stands between two good ones, is told with its place, and changes neither of them.
func TestBadLinesAreCountedAndTold(t *testing.T) {
	t.Parallel()
	with := func(from, to string) string { return strings.Replace(record(noon, 1), from, to, 1) }
	good := record(noon, 1)
	for name, tt := range map[string]struct{ line, says string }{
		"not JSON":                    {`usage_tokens of ` + secret + "\n", "1 lines that are not JSON"},
		"cut off":                     {good[:len(good)-3] + "\n", "1 lines that are not JSON"},
		"two values":                  {good[:len(good)-1] + good, "1 lines that are not JSON"},
		"a comma too many":            {with(`1}}`, `1,}}`), "1 lines that are not JSON"},
		"a number that is none":       {with(`"level":"info"`, `"level":0x1`), "1 lines that are not JSON"},
		"a control character":         {with("info", "in\x01fo"), "1 lines that are not JSON"},
		"latin-1":                     {with("info", "caf\xe9"), "1 lines that are not JSON"},
		"a NUL byte":                  {with("info", "in\x00fo"), "1 lines that are not JSON"},
		"NUL bytes first":             {"\x00\x00\x00{}\n", "1 runs of NUL bytes"},
		"UTF-16":                      {utf16le(good), "1 runs of NUL bytes"}, // what is behind the newline's own byte
		"too long":                    {`{"_tokens":"` + strings.Repeat("x", 3<<20) + "\"}\n", "1 lines longer than 1 MiB"},
		"an object for a count":       {with(`"prompt_tokens":1`, `"prompt_tokens":{"n":1}`), "1 records with a count"},
		"a negative count":            {with(`"prompt_tokens":1`, `"prompt_tokens":-1`), "1 records with a count"},
		"a fraction of a token":       {with(`"prompt_tokens":1`, `"prompt_tokens":1.5`), "1 records with a count"},
		"an absurd count":             {with(`"prompt_tokens":1`, `"prompt_tokens":1e300`), "1 records with a count"},
		"a text for usage":            {with(`{"prompt_tokens":1,"completion_tokens":1}`, `"prompt_tokens"`), ""},
		"no time":                     {with(`"timestamp"`, `"when"`), "1 records without a time"},
		"a word for a time":           {with(`2026-11-20T12:00:00Z`, secret), "1 records without a time"},
		"the year zero":               {with(`"2026-11-20T12:00:00Z"`, `0`), "1 records without a time"},
		"a clock in the future":       {with(`2026-11-20T12:00:00Z`, "2026-11-20T12:05:01Z"), "1 records from the future"},
		"an impossible date":          {with(`2026-11-20T12:00:00Z`, "2026-13-45T12:00:00Z"), "1 records without a time"},
		"nesting without end":         {`{"_tokens":` + strings.Repeat("[", 200_000) + "\n", "1 lines that are not JSON"},
		"an empty line":               {"\n", ""},
		"another kind of line":        {`{"level":"info"}` + "\n", ""},
		"a model that is no text":     {with(`"mistral-small-latest"`, `17`), "unknown"},
		"an escape that is none":      {with("info", `in\xfo`), "1 lines that are not JSON"},
		"an escape without its digit": {with("info", `in\u12g4`), "1 lines that are not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write(w.path, record(noon.Add(-20*24*time.Hour), 1), w.at(0, 10), tt.line)
			at := int64(len(record(noon.Add(-20*24*time.Hour), 1) + w.at(0, 10)))
			if name == "UTF-16" {
				w.write(w.path, "\n")
			}
			w.write(w.path, w.at(0, 100))
			r := w.good()
			told := strings.Join(r.Notes, "; ") + r.Why
			if got := sum(r.Hour); tt.says != "unknown" && got != [2]int64{2, 110} {
				t.Errorf("got %v, want the two good ones; %q", got, told)
			}
			if !strings.Contains(told, tt.says) || (tt.says == "") != (r.Confidence == source.Estimated) {
				t.Errorf("got %q, %s, want %q", told, r.Confidence, tt.says)
			}
			if strings.HasPrefix(tt.says, "1 lines") && !strings.Contains(told, fmt.Sprintf("the first at byte %d of %q", at, "usage.log")) {
				t.Errorf("got %q, want byte %d", told, at)
			}
			if all := fmt.Sprintf("%+v %s", r, w.state.data); strings.Contains(all, secret) {
				t.Errorf("what stands in the log is passed on: %s", all)
			}
		})
	}
}

func TestAClockThatIsALittleAheadIsNoTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(-4*time.Minute, 1))
	r := w.good()
	if len(r.Notes) > 0 || r.AsOf.After(w.now) {
		t.Errorf("got %+v", r)
	}
	w.month(r, 1, 1)
}

func TestAFileOfAnotherEncodingIsNotZero(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, "\xff\xfe"+utf16le(w.at(0, 1)+w.at(0, 2)+w.at(0, 3)))
	if p := w.problem(); !strings.Contains(p.Text, "3 lines that are not JSON in UTF-8") {
		t.Error(p.Text)
	}
}

func TestAByteOrderMarkIsNoTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, "\xef\xbb\xbf"+w.at(0, 1))
	w.month(w.good(), 1, 1)
}

func TestCarriageReturnsAreNoTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, strings.ReplaceAll(w.at(0, 1)+w.at(0, 10), "\n", "\r\n"))
	r := w.good()
	w.month(r, 2, 11)
	w.whole(r)
}

func TestALineWithoutEndIsNotReadAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(0, 1), strings.Repeat("x", 5<<20))
	w.month(w.good(), 1, 1)
	w.write(w.path, strings.Repeat("x", 1<<20))
	w.good()
	w.write(w.path, "\n", w.at(0, 10))
	r := w.good()
	w.month(r, 2, 11)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "1 lines longer than 1 MiB") {
		t.Errorf("got %q", r.Notes)
	}
}

func TestFlawsAreForgottenWithTheMonth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.path, w.at(0, 1), "prompt_tokens\n")
	if r := w.good(); len(r.Notes) != 1 {
		t.Errorf("got %q", r.Notes)
	}
	w.now = time.Date(2026, 12, 1, 0, 0, 1, 0, time.UTC)
	w.write(w.path, w.at(0, 10))
	r := w.good()
	w.month(r, 1, 10)
	if len(r.Notes) != 0 || r.Confidence != source.Estimated {
		t.Errorf("got %q, %s", r.Notes, r.Confidence)
	}
}

func TestExpressionsOfAnyKindAgree(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]usagelog.Params{
		"by jq":                {Select: `[.level] | index("info") != null`, Fields: usagelog.Fields{Time: ".timestamp | .", Input: "[.usage.prompt_tokens] | add", Output: ".usage | .completion_tokens"}},
		"without jq":           {Select: `.level == "info" and .usage != null`},
		"by one and the other": {Select: `.level != "debug" or false`, Fields: usagelog.Fields{Input: `.usage["prompt_tokens"] | tonumber`}},
		"parts added":          {Fields: usagelog.Fields{Input: ".usage.prompt_tokens + (.usage.cached // 0)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p.Path = w.path
			w.params = p
			w.write(w.path, w.at(0, 1), strings.ReplaceAll(w.at(0, 10), "info", "debug"), w.at(0, 100))
			want := [2]int64{2, 101}
			if p.Select == "" {
				want = [2]int64{3, 111}
			}
			if r := w.good(); sum(r.Month) != want || len(r.Notes) > 0 {
				t.Errorf("got %v, %q, want %v", sum(r.Month), r.Notes, want)
			}
		})
	}
}

func TestAnExpressionThatFailsOrNeverEndsIsTold(t *testing.T) {
	t.Parallel()
	for jq, says := range map[string]string{
		".level.name": "2 lines on which an expression fails", `.usage.prompt_tokens | error`: "2 lines on which an expression fails",
		"last(range(1e12))": "2 lines for which an expression takes too much",
	} {
		w := newWorld(t)
		w.params.Fields.Tier = jq
		w.write(w.path, w.at(0, 1), w.at(0, 10))
		if p := w.problem(); !strings.Contains(p.Text, says) {
			t.Errorf("%s: got %q", jq, p.Text)
		}
	}
}

func TestParametersThatCannotBeUsedAreNamed(t *testing.T) {
	t.Parallel()
	good := func() usagelog.Params { return usagelog.Params{Path: "/var/log/usage.log"} }
	for name, tt := range map[string]struct {
		change func(*usagelog.Params)
		says   string
	}{
		"good":             {func(*usagelog.Params) {}, ""},
		"relative":         {func(p *usagelog.Params) { p.Path = "usage.log" }, "sources.0.path: "},
		"NUL":              {func(p *usagelog.Params) { p.Path = "/a\x00" }, "sources.0.path: "},
		"start":            {func(p *usagelog.Params) { p.Start = "middle" }, "sources.0.start: "},
		"contains nothing": {func(p *usagelog.Params) { p.Contains = []string{""} }, "sources.0.contains: "},
		"many":             {func(p *usagelog.Params) { p.Contains = make([]string, 17) }, "sources.0.contains: "},
		"lag":              {func(p *usagelog.Params) { p.MaxLag = time.Second }, "sources.0.max_lag: "},
		"jq":               {func(p *usagelog.Params) { p.Fields.Input = ".a |" }, "sources.0.fields.input: not a jq expression"},
		"jq that assigns":  {func(p *usagelog.Params) { p.Select = ".a = 1" }, "sources.0.select: it assigns"},
		"long jq":          {func(p *usagelog.Params) { p.Fields.Cost = strings.Repeat(" ", 5000) }, "sources.0.fields.cost: 5000 bytes"},
	} {
		p := good()
		tt.change(&p)
		err := p.Validate("sources.0")
		if (err == nil) != (tt.says == "") || (err != nil && !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
	if _, err := usagelog.New(good(), usagelog.Options{}); err == nil {
		t.Error("a log without prices is built")
	}
}

// A line is read by our own scanner, and by encoding/json and jq: they agree on each.
func FuzzLine(f *testing.F) {
	good := strings.TrimSuffix(record(noon, 5), "\n")
	for _, seed := range []string{
		good, `{}`, `[]`, `null`, `"x"`, `{"usage":null}`, `{"usage":{"prompt_tokens":1},"usage":{}}`, `{"usage":{"prompt_tokens":1},"usage":7}`,
		`{"us\u0061ge":{"prompt_tokens":1e2}}`, `{"usage":[{"prompt_tokens":1}]}`, `{"a":[1,{"b":[]}],"prompt_tokens":"3"}`, `{"prompt_tokens":-0}`,
		`{"prompt_tokens":1.0,"timestamp":1795174200123,"model":"\ud83d\ude00"}`, `{"prompt_tokens":false,"input_tokens":9007199254740993}`,
		` { "usage" : { "prompt_tokens" : 01 } } `, `{"a":"\u00zz"}`, "\xff", "\x00", `{"usage":{"prompt_tokens":1}}{`, strings.Repeat(`{"usage":`, 20),
		strings.Replace(good, "info", "debug", 1), strings.Replace(good, `"prompt_tokens":5`, `"prompt_tokens":null,"input_tokens":"12"`, 1),
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	plain := usagelog.Params{Contains: []string{}, Select: `.level == "info" or .usage != null or .prompt_tokens != null`}
	plain.Fields = usagelog.Fields{
		Time: ".timestamp", Model: ".model", Input: ".usage.prompt_tokens // .prompt_tokens // .input_tokens", Cached: ".cached", Output: ".usage.completion_tokens",
		Tier: ".tier", Cost: ".cost",
	}
	byJQ := plain
	byJQ.Select = "[" + plain.Select + "] | .[0]"
	for from, to := range map[string]*string{
		plain.Fields.Time: &byJQ.Fields.Time, plain.Fields.Model: &byJQ.Fields.Model, plain.Fields.Input: &byJQ.Fields.Input,
		plain.Fields.Cached: &byJQ.Fields.Cached, plain.Fields.Output: &byJQ.Fields.Output, plain.Fields.Tier: &byJQ.Fields.Tier, plain.Fields.Cost: &byJQ.Fields.Cost,
	} {
		*to = "[" + from + "] | .[0]"
	}
	f.Fuzz(func(t *testing.T, line string) {
		path := filepath.Join(dir, "usage.log")
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, noon, noon); err != nil {
			t.Fatal(err)
		}
		read := func(p usagelog.Params) (source.Reading, string) {
			p.Path = path
			l, err := usagelog.New(p, usagelog.Options{Prices: flat{}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.Read(t.Context(), noon)
			if err != nil {
				return r, err.Error()
			}
			if r.Month != nil && (r.Month.Cost < 0 || r.Month.Cost > checks.PicoUSD(1<<62)) {
				t.Errorf("%q: a cost of %d", line, r.Month.Cost)
			}
			return r, ""
		}
		got, failure := read(plain)
		want, wanted := read(byJQ)
		if d := cmp.Diff(want, got); d != "" || failure != wanted {
			t.Errorf("%q: %q, jq: %q\n%s", line, failure, wanted, d)
		}
	})
}

// TestAnHourThatCannotBeReadIsNotZero: the application renamed a field, and what stands in the log is nothing to us.
func TestAnHourThatCannotBeReadIsNotZero(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		good, bad int
		known     bool
		alarms    int
	}{
		"all of it":        {0, 200, false, 0},
		"most of it":       {100, 101, false, 0},
		"a tenth":          {90, 10, true, 1},
		"one in a hundred": {100, 1, true, 0},
	} {
		w := newWorld(t)
		w.write(w.path, record(noon.Add(-3*time.Hour), 1))
		w.good()
		for range tt.good {
			w.write(w.path, w.at(0, 10))
		}
		for range tt.bad {
			w.write(w.path, strings.Replace(w.at(0, 10), `"timestamp"`, `"when"`, 1))
		}
		r := w.good()
		if (r.Hour != nil) != tt.known || len(r.Alarms) != tt.alarms || tt.known && r.Hour.Requests != int64(tt.good) {
			t.Errorf("%s: hour %+v, alarms %v, %s", name, r.Hour, r.Alarms, r.Why)
		}
		w.now = w.now.Add(2 * time.Hour)
		w.write(w.path, w.at(0, 10))
		if r := w.good(); r.Hour == nil || r.Hour.Requests != 1 {
			t.Errorf("%s: two hours later: %+v, %s", name, r.Hour, r.Why)
		}
	}
}
