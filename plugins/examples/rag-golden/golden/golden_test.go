package golden_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/plugins/examples/rag-golden/golden"
)

func TestTheKindPassesTheSuite(t *testing.T) {
	secret := "secret_headers: {Authorization: {secret: rag_token}}"
	one := "{id: a, question: a, must_contain: [a]}"
	with := func(more string) string { return "url: http://rag.test\n" + more }
	checktest.Run(t, golden.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params(serve(t, &endpoint{says: good()}), secret+"\nper_question: true"), Env: checks.Env{Memory: &kept{}}}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: params("http://127.0.0.1:1", secret)}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := hung(t)
			return checktest.Case{Params: params(url, secret), Reached: reached}
		},
		Refused: map[string]string{
			"no URL":                    "questions: [" + one + "]",
			"a file":                    "url: file:///etc/passwd\nquestions: [" + one + "]",
			"a URL with a user":         "url: http://me:pass@rag.test\nquestions: [" + one + "]",
			"no questions":              with(""),
			"an empty list":             with("questions: []"),
			"both a file and a list":    with("golden: /x.yaml\nquestions: [" + one + "]"),
			"a file that is not there":  with("golden: /no/such/file.yaml"),
			"a relative file":           with("golden: golden.yaml"),
			"the same id twice":         with("questions: [" + one + ", " + one + "]"),
			"a request without a place": with("request: {q: ask}\nquestions: [" + one + "]"),
			"a pointer that is none":    with("answer: answer\nquestions: [" + one + "]"),
			"a plain credential":        with("headers: {authorization: Bearer x}\nquestions: [" + one + "]"),
			"a header of two lines":     with("headers: {X-A: \"a\\nb\"}\nquestions: [" + one + "]"),
			"bounds the wrong way":      with("failed_below: 0.9\nquestions: [" + one + "]"),
			"a score of percents":       with("degraded_below: 80\nquestions: [" + one + "]"),
			"a score that is no number": with("degraded_below: .nan\nquestions: [" + one + "]"),
			"no question per run":       with("per_run: 0\nquestions: [" + one + "]"),
			"no time":                   with("question_timeout: 0s\nquestions: [" + one + "]"),
			"a negative budget":         with("budget: -1s\nquestions: [" + one + "]"),
			"a refusal of dots":         with("refusals: ['...']\nquestions: [" + one + "]"),
			"nothing expected":          with("questions: [{id: a, question: a}]"),
			"a fact of dots":            with("questions: [{id: a, question: a, must_contain: ['…']}]"),
			"a question without id":     with("questions: [{question: a, must_contain: [a]}]"),
			"a weight below zero":       with("questions: [{id: a, question: a, must_contain: [a], weight: -1}]"),
			"a tolerance of all":        with("questions: [{id: a, question: a, must_contain: [a], tolerance: 1}]"),
			"an overlap with nothing":   with("questions: [{id: a, question: a, must_contain: [a], min_overlap: 0.3}]"),
			"a refusal with sources":    with("questions: [{id: a, question: a, refusal: true, sources: [a]}]"),
		},
	})
}

func TestMeasurementsAreAnnouncedInOrder(t *testing.T) {
	t.Parallel()
	all := golden.Measurements()
	if !slices.IsSortedFunc(all, func(a, b golden.Measurement) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("they are not sorted")
	}
	for _, m := range all {
		if m.Description == "" {
			t.Errorf("%s has no description", m.Name)
		}
	}
}

func TestAnswersAreJudged(t *testing.T) {
	t.Parallel()
	const refund, vat, salary = "Within how many days may I return a product?", "What is the VAT on books?", "What does the head of sales earn?"
	for name, tc := range map[string]struct {
		question string
		says     said
		status   checks.Status
		score    float64
		says2    string // in the evidence
	}{
		"all are good":             {refund, good()[refund], checks.OK, 1, "facts 2 of 2"},
		"a fact is missing":        {refund, said{"Within 30 days.", []string{"policies/returns.md"}}, checks.Degraded, (0.75 + 2) / 3, "facts 1 of 2"},
		"a wrong number":           {refund, said{"Within 130 days, free of charge", []string{"policies/returns.md"}}, checks.Degraded, (0.75 + 2) / 3, "facts 1 of 2"},
		"forbidden content":        {refund, said{"30 days, no cost; or 60 days", []string{"policies/returns.md"}}, checks.Degraded, 2. / 3, "forbidden content 1 times"},
		"a source that is not":     {refund, said{"30 days, no cost", []string{"policies/invented.md"}}, checks.Degraded, (0.5 + 2) / 3, "citations precision 0.00, recall 0.00"},
		"one good source of two":   {refund, said{"30 days, no cost", []string{"policies/returns.md", "x"}}, checks.OK, 1, "citations precision 0.50, recall 1.00"},
		"one good source of four":  {refund, said{"30 days, no cost", []string{"policies/returns.md", "x", "y", "z"}}, checks.OK, (0.75 + 2) / 3, "citations precision 0.25, recall 1.00"},
		"the same source twice":    {refund, said{"30 days, no cost", []string{"policies/returns.md", "policies/returns.md"}}, checks.OK, 1, "citations precision 1.00"},
		"no sources":               {vat, said{"5.5%", nil}, checks.Degraded, (0.5 + 2) / 3, "recall 0.00"},
		"a refusal without need":   {vat, said{"I do not know.", []string{"https://docs.example.com/tax"}}, checks.Degraded, 2. / 3, "refused without need"},
		"a hedge after the answer": {vat, said{"It is 5.5 %. I do not know about e-books.", []string{"https://docs.example.com/tax"}}, checks.OK, 1, "facts 1 of 1"},
		"an answer where none is":  {salary, said{"She earns 90,000 euros a year.", nil}, checks.Degraded, 2. / 3, "answered, want a refusal"},
		"a refusal in French":      {salary, said{"Désolé, je ne peux pas répondre à cette question.", nil}, checks.OK, 1, "score 1.00"},
		"a refusal of the team's":  {salary, said{"Das fällt unter die Schweigepflicht.", nil}, checks.OK, 1, "score 1.00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := good()
			answers[tc.question] = tc.says
			r := run(t, build(t, params(serve(t, &endpoint{says: answers}), "degraded_below: 0.9\nrefusals: [unter die schweigepflicht]"), nil))
			status := tc.status
			if tc.score >= 0.9 {
				status = checks.OK
			}
			if r.Status != status || math.Abs(measured(r, "rag.score")-tc.score) > 1e-9 {
				t.Errorf("%s with score %v, want %s with %v: %s", r.Status, measured(r, "rag.score"), status, tc.score, r.Summary)
			}
			if r.Status != checks.OK && (r.Cause != checks.CauseAssertion || r.Blame != checks.BlameApplication) {
				t.Errorf("cause %q, blame %q, want the application's assertion", r.Cause, r.Blame)
			}
			if all := fmt.Sprint(r.Evidence); !strings.Contains(all, tc.says2) {
				t.Errorf("evidence %s, want …%s…", all, tc.says2)
			}
		})
	}
}

func TestMeasurementsOfARun(t *testing.T) {
	t.Parallel()
	answers := good()
	answers["What does the head of sales earn?"] = said{"She earns a lot.", nil}
	r := run(t, build(t, params(serve(t, &endpoint{says: answers}), "per_question: true"), nil))
	want := map[string]float64{
		"rag.score": 2. / 3, "rag.set.score": 2. / 3, "rag.set.known": 1, "rag.fact_coverage": 1, "rag.citation.precision": 1,
		"rag.citation.recall": 1, "rag.questions.asked": 3, "rag.questions.answered": 3, "rag.questions.passed": 2,
		"rag.questions.total": 3, "rag.refusals.wrong": 1, "rag.forbidden": 0,
	}
	for name, value := range want {
		if got := measured(r, name); math.Abs(got-value) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got, value)
		}
	}
	for _, m := range r.Measurements {
		i := slices.IndexFunc(golden.Measurements(), func(a golden.Measurement) bool { return a.Name == m.Name && a.Unit == m.Unit })
		if i < 0 {
			t.Errorf("%s in %q is not announced", m.Name, m.Unit)
		}
	}
	if took, longest := measured(r, "rag.answer.duration"), measured(r, "rag.answer.duration.max"); took <= 0 || longest < took {
		t.Errorf("answers took %v, the longest %v", took, longest)
	}
	if !strings.Contains(r.Summary, "lowest: salary 0.00") {
		t.Errorf("summary %q does not name the lowest", r.Summary)
	}
}

func TestEndpointsThatMisbehave(t *testing.T) {
	t.Parallel()
	big := `{"answer":"` + strings.Repeat("30 days ", 10<<20/8) + `"}`
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		cause   checks.Cause
		blame   checks.Blame
		asked   float64
	}{
		"401":                      {says(401, "{}"), checks.CauseAuth, checks.BlameConfig, 1},
		"403":                      {says(403, "{}"), checks.CauseForbidden, checks.BlameConfig, 1},
		"404":                      {says(404, "{}"), checks.CauseBadRequest, checks.BlameConfig, 1},
		"422":                      {says(422, "{}"), checks.CauseBadRequest, checks.BlameConfig, 2},
		"429":                      {says(429, "{}"), checks.CauseRateLimited, checks.BlameApplication, 1},
		"500":                      {says(500, "<html>"+key), checks.CauseServer, checks.BlameApplication, 2},
		"garbage":                  {says(200, "\xff\x00garbage "+key), checks.CauseMalformed, checks.BlameApplication, 2},
		"two values":               {says(200, `{"answer":"a"}{"answer":"b"}`), checks.CauseMalformed, checks.BlameApplication, 2},
		"HTML":                     {says(200, "<!DOCTYPE html>"), checks.CauseMalformed, checks.BlameApplication, 2},
		"no answer":                {says(200, `{"text":"`+privateAnswer+`"}`), checks.CauseMalformed, checks.BlameApplication, 2},
		"an answer of a number":    {says(200, `{"answer":30}`), checks.CauseMalformed, checks.BlameApplication, 2},
		"an empty answer":          {says(200, `{"answer":" \n"}`), checks.CauseEmptyContent, checks.BlameApplication, 2},
		"sources of another shape": {says(200, `{"answer":"a","sources":{"a":1}}`), checks.CauseMalformed, checks.BlameApplication, 2},
		"sources of objects":       {says(200, `{"answer":"a","sources":[{"a":1}]}`), checks.CauseMalformed, checks.BlameApplication, 2},
		"10 MB":                    {says(200, big), checks.CauseResponseTooLarge, checks.BlameApplication, 2},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?"+key, http.StatusTemporaryRedirect)
		}, checks.CauseUnexpectedRedirect, checks.BlameApplication, 1},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"answer":"`))
		}, checks.CauseMalformed, checks.BlameApplication, 2},
		"a connection that is reset": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, checks.CauseMalformed, checks.BlameApplication, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, build(t, params(serve(t, tc.handler), "secret_headers: {X-Key: {secret: k}}"), nil))
			if r.Status != checks.Failed || r.Cause != tc.cause || r.Blame != tc.blame {
				t.Errorf("%s %q, blame %q: %s, want failed %q, blame %q", r.Status, r.Cause, r.Blame, r.Summary, tc.cause, tc.blame)
			}
			if got := measured(r, "rag.questions.asked"); got != tc.asked {
				t.Errorf("asked %v questions, want %v", got, tc.asked)
			}
			if !strings.HasPrefix(r.Summary, "question refund: ") {
				t.Errorf("summary %q does not name the question", r.Summary)
			}
		})
	}
}

func TestConnectionsThatAreNotMade(t *testing.T) {
	t.Parallel()
	plain := serve(t, says(200, "{}"))
	for name, tc := range map[string]struct {
		url   string
		cause checks.Cause
		blame checks.Blame
	}{
		"nobody listens":      {"http://127.0.0.1:1", checks.CauseConnect, checks.BlameApplication},
		"no such name":        {"http://no-such-host.invalid", checks.CauseDNS, ""},
		"TLS is not spoken":   {strings.Replace(plain, "http://", "https://", 1), checks.CauseTLS, ""},
		"a port out of range": {"http://127.0.0.1:99999", checks.CauseConnect, ""},
	} {
		r := run(t, build(t, params(tc.url, ""), nil))
		if r.Status != checks.Failed || r.Cause != tc.cause || r.Blame != tc.blame {
			t.Errorf("%s: %s %q, blame %q: %s, want failed %q, blame %q", name, r.Status, r.Cause, r.Blame, r.Summary, tc.cause, tc.blame)
		}
	}
}

func TestAnEndpointThatHangsIsAskedTwiceAtMost(t *testing.T) {
	t.Parallel()
	url, _ := hung(t)
	r := run(t, build(t, params(url, "question_timeout: 50ms"), nil))
	if r.Status != checks.Failed || r.Cause != checks.CauseTimeout || r.Blame != checks.BlameApplication || measured(r, "rag.questions.asked") != 2 {
		t.Errorf("%s %q after %v questions, want failed timeout after 2", r.Status, r.Cause, measured(r, "rag.questions.asked"))
	}
}

func TestOneQuestionWithoutAnAnswerDegradesTheRun(t *testing.T) {
	t.Parallel()
	inner := &endpoint{says: good()}
	calls := make(chan int, 10)
	calls <- 0
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := <-calls
		calls <- n + 1
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	r := run(t, build(t, params(url, "degraded_below: 0.6"), nil))
	if r.Status != checks.Degraded || r.Cause != checks.CauseServer || math.Abs(measured(r, "rag.score")-2./3) > 1e-9 || measured(r, "rag.questions.answered") != 2 {
		t.Errorf("%s %q with %v: %s, want degraded server with 2/3", r.Status, r.Cause, measured(r, "rag.score"), r.Summary)
	}
}

func TestTheSetIsAskedInTurn(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	answers := map[string]said{}
	var want []string
	for i := range 7 {
		q := fmt.Sprintf("question number %d", i)
		fmt.Fprintf(&text, "- {id: q%d, question: %s, must_contain: [yes]}\n", i, q)
		answers[q] = said{"yes", nil}
		want = append(want, q)
	}
	want = append(want, want[:2]...)
	e, m := &endpoint{says: answers}, &kept{}
	with := "url: " + serve(t, e) + "\nper_run: 3\nquestions:\n" + text.String()
	for i, known := range []float64{3. / 7, 6. / 7, 1} {
		r := run(t, build(t, with, m)) // a new process each time
		if got := measured(r, "rag.set.known"); r.Status != checks.OK || math.Abs(got-known) > 1e-9 {
			t.Errorf("run %d: %s, %v of the set known, want %v", i, r.Status, got, known)
		}
	}
	if diff := cmp.Diff(want, e.questions()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestASetThatChangesIsGoneOnWith(t *testing.T) {
	t.Parallel()
	line := func(ids ...string) string {
		var b strings.Builder
		for _, id := range ids {
			fmt.Fprintf(&b, "{\"id\": %q, \"question\": %q, \"must_contain\": [\"yes\"]}\n", id, "ask "+id)
		}
		return b.String()
	}
	answers := map[string]said{}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		answers["ask "+id] = said{"yes", nil}
	}
	e := &endpoint{says: answers}
	path := write(t, "set.jsonl", line("a", "b", "c", "d"))
	check := build(t, "url: "+serve(t, e)+"\nper_run: 2\ngolden: "+path, &kept{})
	run(t, check)
	rewrite(t, path, line("a", "c", "d", "e")) // b, which was asked last, is gone
	if r := run(t, check); measured(r, "rag.questions.total") != 4 {
		t.Errorf("%v questions after the change, want 4", measured(r, "rag.questions.total"))
	}
	if diff := cmp.Diff([]string{"ask a", "ask b", "ask c", "ask d"}, e.questions()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	rewrite(t, path, "{}")
	if r := run(t, check); r.Status != checks.Error || r.Cause != checks.CauseConfig || !strings.Contains(r.Summary, "set.jsonl:1: id:") {
		t.Errorf("a broken set: %s %q: %s, want error config with the place", r.Status, r.Cause, r.Summary)
	}
}

func TestAFailureThatIsNotTheQuestionsBringsItAgain(t *testing.T) {
	t.Parallel()
	m := &kept{}
	run(t, build(t, params(serve(t, says(401, "")), "per_run: 1"), m))
	e := &endpoint{says: good()}
	run(t, build(t, params(serve(t, e), "per_run: 1"), m))
	if got := e.questions(); len(got) != 1 || !strings.HasPrefix(got[0], "Within") {
		t.Errorf("asked %q, want the first question", got)
	}
}

func TestTheBudgetEndsARun(t *testing.T) {
	t.Parallel()
	r := run(t, build(t, params(serve(t, &endpoint{says: good()}), "budget: 1ns"), nil))
	if r.Status != checks.OK || measured(r, "rag.questions.asked") != 1 || !strings.Contains(r.Summary, "no time for 2 more") {
		t.Errorf("%s: %s, want ok after one question", r.Status, r.Summary)
	}
}

func TestWhatCannotBeReadIsOurs(t *testing.T) {
	t.Parallel()
	url := serve(t, &endpoint{says: good()})
	if _, err := build(t, params(url, ""), &kept{err: errors.New("broken")}).Run(t.Context()); err == nil {
		t.Error("a memory that cannot be read is no error")
	}
	check, err := golden.Kind().New(checktest.Decoder(params(url, "secret_headers: {X-Key: {secret: k}}"), ""), checks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, check); r.Status != checks.Error || r.Cause != checks.CauseConfig || !strings.Contains(r.Summary, "X-Key") {
		t.Errorf("a secret without value: %s %q: %s, want error config", r.Status, r.Cause, r.Summary)
	}
	for _, data := range []string{"x", "{}", `{"last":"refund","place":99,"scores":null}`, `{"place":-5}`, "[]"} {
		if r := run(t, build(t, params(url, ""), &kept{data: []byte(data)})); r.Status != checks.OK {
			t.Errorf("memory %q: %s: %s, want ok", data, r.Status, r.Summary)
		}
	}
}

func TestARunThatIsOverHasKeptItsPlace(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	inner := &endpoint{says: good()}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(inner.questions()) == 1 {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the connection ends
			<-r.Context().Done()
			return
		}
		inner.ServeHTTP(w, r)
	}))
	m := &kept{}
	r, err := build(t, params(url, ""), m).Run(ctx)
	if err != nil || r.Status != checks.OK || measured(r, "rag.questions.asked") != 1 {
		t.Errorf("%s %s, %v: want ok by the one answer", r.Status, r.Summary, err)
	}
	if !strings.Contains(string(m.data), `"last":"refund"`) {
		t.Errorf("kept %s, want the question that was answered", m.data)
	}
}

func TestTheRequestAndTheResponseHaveTheTeamsOwnShape(t *testing.T) {
	t.Parallel()
	var got string
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		got = string(body) + " " + r.Header.Get("X-Team") + " " + r.Header.Get("X-Key")
		_, _ = w.Write([]byte(`{"choices":[{"message":{"content":"` + privateAnswer + `"}}],"a/b":[{"doc":{"id":7}},{"doc":{"id":"x"}}],"no":false}`))
	}))
	r := run(t, build(t, `
url: `+url+`
headers: {X-Team: shop}
secret_headers: {X-Key: {secret: k}}
request: {model: m, stream: false, n: 3, messages: [{role: user, content: "Frage: {{question}}"}]}
answer: /choices/0/message/content
sources: /a~1b
source: /doc/id
refused: /no
questions:
  - {id: a, question: "`+privateQuestion+`", must_contain: [30 tage], sources: ["7", x], reference: Frau Mustermann hat 30 Tage Zeit}
`, nil))
	want := `{"messages":[{"content":"Frage: ` + privateQuestion + `","role":"user"}],"model":"m","n":3,"stream":false} shop ` + key
	if r.Status != checks.OK || got != want {
		t.Errorf("%s %s; sent\n%s, want\n%s", r.Status, r.Summary, got, want)
	}
	if measured(r, "rag.overlap") != 1 {
		t.Errorf("overlap %v, want 1", measured(r, "rag.overlap"))
	}
}

func TestTheEndpointsOwnFlagOfARefusalCounts(t *testing.T) {
	t.Parallel()
	url := serve(t, says(200, `{"answer":"Please ask Human Resources.","meta":{"refused":true}}`))
	with := "url: " + url + "\nrefused: /meta/refused\nquestions: [{id: a, question: a, refusal: true}]"
	if r := run(t, build(t, with, nil)); r.Status != checks.OK {
		t.Errorf("%s: %s, want ok", r.Status, r.Summary)
	}
	if r := run(t, build(t, strings.Replace(with, "refused: /meta/refused", "", 1), nil)); r.Status != checks.Failed {
		t.Errorf("without the flag: %s: %s, want failed", r.Status, r.Summary)
	}
}

func TestAWholeResponseCanBeTheAnswer(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]checks.Status{
		"You have **30 days**.":                        checks.OK,
		`{"text":"30 days","sources":["policy"]}`:      checks.OK,
		`{"text":"30 days","sources":"not of a list"}`: checks.Failed,
		"60 days": checks.Failed,
	} {
		with := "url: " + serve(t, says(200, body)) + "\nanswer: ''\nquestions: [{id: a, question: a, must_contain: [30 days]}]"
		if r := run(t, build(t, with, nil)); r.Status != want {
			t.Errorf("%s: %s: %s, want %s", body, r.Status, r.Summary, want)
		}
	}
}

func TestWeightAndTolerance(t *testing.T) {
	t.Parallel()
	url := serve(t, says(200, `{"answer":"one two"}`))
	for more, want := range map[string]float64{
		"weight: 3":                    (3*0.5 + 1) / 4,
		"tolerance: 0.5":               1,
		"tolerance: 0.49":              0.75,
		"tolerance: 0.5, weight: 1000": 1,
	} {
		r := run(t, build(t, "url: "+url+"\nquestions: [{id: a, question: a, must_contain: [one, three], "+more+"}, {id: b, question: b, must_contain: [two]}]", nil))
		if got := measured(r, "rag.score"); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: score %v, want %v", more, got, want)
		}
	}
}

func TestMeasuresSaysWhatARunMayMeasure(t *testing.T) {
	t.Parallel()
	for _, per := range []bool{false, true} {
		check := build(t, params("http://rag.test", fmt.Sprintf("per_question: %v", per)), nil)
		said := map[string]bool{}
		for _, name := range check.(checks.Measuring).Measures() {
			said[name] = true
		}
		if said["rag.question.score"] != per {
			t.Errorf("per_question %v: %v", per, slices.Sorted(maps.Keys(said)))
		}
	}
}
