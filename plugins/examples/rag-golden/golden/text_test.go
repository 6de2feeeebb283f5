package golden_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/plugins/examples/rag-golden/golden"
)

func quoted(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFactsAreFoundByTheirWords(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fact, answer string
		want         bool
	}{
		"case and accents":                   {"REMBOURSÉ à l'été", "rembourse\u0301 a l’Ete", true},
		"the German sharp s":                 {"Straße", "STRASSE", true},
		"ligatures and wide letters":         {"first 2", "ﬁrst ２", true},
		"Markdown":                           {"30 days", "**30** _days_", true},
		"a citation mark between":            {"30 days", "30 [1][^2] days", true},
		"a word in another":                  {"art", "start party", false},
		"a number in another":                {"30", "130 or 300", false},
		"words in another order":             {"30 days", "days 30", false},
		"words with another between":         {"30 days", "30 working days", false},
		"thousands with a comma":             {"1000", "1,000", true},
		"thousands with a thin space":        {"12500", "12\u202f500", true},
		"thousands with an apostrophe":       {"12500", "12'500", true},
		"millions with points":               {"1250000", "1.250.000", true},
		"one point before three digits":      {"1000", "1.000", false},
		"the same point":                     {"1.000", "1.000", true},
		"a decimal comma":                    {"2.5", "2,50", true},
		"both marks, English":                {"1234.5", "1,234.50", true},
		"both marks, German":                 {"1234.5", "1.234,50", true},
		"a whole number with zeros":          {"5", "5.0", true},
		"a version is no number":             {"2.1.3", "2.1.3", true},
		"part of a version":                  {"2.1", "2.1.3", false},
		"a list is no number":                {"1", "1,2,3", true},
		"per cent with a space":              {"5%", "5 %", true},
		"per cent is not euros":              {"5 €", "5 %", false},
		"a minus":                            {"-5", "it is −5 °C", true},
		"a minus that is not there":          {"-5", "5", false},
		"a range is no minus":                {"10 20", "10-20", true},
		"Arabic digits":                      {"67", "٦٧", true},
		"Devanagari digits":                  {"39", "३९", true},
		"Chinese without spaces":             {"三十天", "可在三十天内退货", true},
		"Chinese in another order":           {"三十天", "天三十", false},
		"Japanese":                           {"がつ", "30がつ", true},
		"Japanese with and without a mark":   {"か", "が", false},
		"Russian with and without an accent": {"замок", "за\u0301мок", true},
		"Hindi keeps its vowels":             {"की", "का", false},
		"invalid UTF-8":                      {"30 days", "\xff30\xff days", true},
		"control characters":                 {"30 days", "30\x00\n\tdays", true},
		"a unit without a space":             {"30 days", "30days", true},
	} {
		with := fmt.Sprintf(`{url: "%s", questions: [{id: a, question: a, must_contain: [%s]}]}`,
			serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `{"answer":"%s"}`, strings.NewReplacer("\x00", `\u0000`, "\n", `\n`, "\t", `\t`).Replace(tc.answer))
			})), quoted(t, tc.fact))
		r := run(t, build(t, with, nil))
		if got := r.Status == checks.OK; got != tc.want {
			t.Errorf("%s: %q in %q is %v, want %v", name, tc.fact, tc.answer, got, tc.want)
		}
	}
}

func TestOverlapIsTokenF1(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]float64{
		"The cat sat on the mat.":         1,
		"the mat, on: the CAT sat":        1,
		"the dog":                         2. * 1 / (2 + 6),
		"cat cat cat":                     2. * 1 / (3 + 6),
		"nothing of it":                   0,
		"the cat sat on the mat and more": 2. * 6 / (8 + 6),
	} {
		with := fmt.Sprintf(`{url: "%s", questions: [{id: a, question: a, reference: the cat sat on the mat, min_overlap: 0.8}]}`,
			serve(t, says(200, `{"answer":`+quoted(t, answer)+`}`)))
		r := run(t, build(t, with, nil))
		if got := measured(r, "rag.overlap"); math.Abs(got-want) > 1e-9 {
			t.Errorf("%q: overlap %v, want %v", answer, got, want)
		}
		if got := measured(r, "rag.score"); math.Abs(got-min(1, want/0.8)) > 1e-9 {
			t.Errorf("%q: score %v, want %v", answer, got, min(1, want/0.8))
		}
	}
}

// Whatever an endpoint answers is a valid result, never green by chance, and the same when it is graded again.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"answer":"30 days"}`, `{"answer":"1,000.5-7٣"}`, `{"answer":"\u202f9\u202f999"}`, `{"answer":null}`, `[]`, ``, `{"answer":"a","sources":[1,"b"]}`,
		`{"answer":"\ud800 ﷺ ½ 三 \u0301"}`, `{"answer":"-1'000'00_0.0,0"}`, "{\"answer\":\"\xff[1][^22]\"}", `{"answer":"` + strings.Repeat("1.", 300) + `"}`,
	} {
		f.Add([]byte(seed))
	}
	check := func(t *testing.T, url string) checks.Check {
		t.Helper()
		with := `{url: "` + url + `", questions: [{id: a, question: a, must_contain: [thirty-one nights], reference: one two, sources: [s]}]}`
		c, err := golden.Kind().New(checktest.Decoder(with, key), checks.Env{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		url := serve(t, says(200, string(body)))
		r, again := run(t, check(t, url)), run(t, check(t, url))
		if r.Status == checks.OK && !strings.Contains(strings.ToLower(string(body)), "thirty") && !strings.Contains(string(body), `\u`) {
			t.Errorf("%q: %s", body, r.Summary)
		}
		if r.Status != again.Status || measured(r, "rag.score") != measured(again, "rag.score") {
			t.Errorf("%q is graded %v, then %v", body, measured(r, "rag.score"), measured(again, "rag.score"))
		}
	})
}
