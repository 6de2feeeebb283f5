package embeddings_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/embeddings"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/mistral/mistraltest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

const key = "canary-key-4711-abcdef"

// unit is a unit vector as text: width elements, of which the one at place is not zero.
func unit(width, place int) string {
	all := slices.Repeat([]string{"0"}, width)
	all[place] = "1.0"
	return "[" + strings.Join(all, ",") + "]"
}

const counted = `,"usage":{"prompt_tokens":14,"completion_tokens":0,"total_tokens":14}`

// answer is shaped as Mistral's (recorded 2026), with vectors as they are given.
func answer(usage string, vectors ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var data []string
		for i, v := range vectors {
			data = append(data, fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":%s}`, i, v))
		}
		w.Header().Set("Mistral-Correlation-Id", "corr-7")
		_, _ = io.WriteString(w, `{"id":"e1","object":"list","model":"mistral-embed","data":[`+strings.Join(data, ",")+`]`+usage+`}`)
	}
}

func good() http.HandlerFunc { return answer(counted, unit(1024, 0), unit(1024, 1)) }

func TestTheKindPassesTheSuite(t *testing.T) {
	checktest.Run(t, embeddings.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Env: checks.Env{Provider: mistraltest.Client(t, outboundtest.Serve(t, good()), checktest.Secret(key))}}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Env: checks.Env{Provider: mistraltest.Client(t, "http://"+outboundtest.Refused(t), checktest.Secret(key))}}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			return checktest.Case{Env: checks.Env{Provider: mistraltest.Client(t, url, checktest.Secret(key))}, Reached: reached}
		},
		Refused: map[string]string{
			"no model":             "model: ''",
			"a model of two lines": `model: "a\nb"`,
			"no texts":             "input: []",
			"an empty text":        "input: [a, ' ']",
			"a text that is alone": "input: {a: b}",
			"too many texts":       "input: [" + strings.Repeat("a, ", 16) + "a]",
			"too much text":        "input: ['" + strings.Repeat("a", 9000) + "']",
			"a negative width":     "dimensions: -1",
			"a width of text":      "dimensions: wide",
			"a range upside down":  "norm: {min: 2, max: 1}",
			"a length below zero":  "norm: {min: -1, max: 1}",
			"no number":            "norm: {min: .nan, max: 1}",
			"no end":               "norm: {min: 0, max: .inf}",
		},
	})
}

// run runs a check of params against a server and holds what every result obeys.
func run(t *testing.T, params string, handler http.HandlerFunc) checks.Result {
	t.Helper()
	check, err := embeddings.Kind().New(checktest.Decoder(params, key), checks.Env{Provider: mistraltest.Client(t, outboundtest.Serve(t, handler), checktest.Secret(key))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Error(err)
	}
	for _, m := range r.Measurements {
		row, ok := exporters.Lookup(m.Name)
		if !ok || row.Unit != m.Unit {
			t.Errorf("measurement %s in %q is not in the catalogue so", m.Name, m.Unit)
		}
		for attr := range m.Attrs {
			if !slices.Contains(row.Attrs, attr) {
				t.Errorf("measurement %s has attribute %s, which the catalogue does not know", m.Name, attr)
			}
		}
	}
	most, _ := check.(checks.Paid).MaxCost(time.Now())
	if r.Usage == nil || r.Usage.Cost > most {
		t.Errorf("usage %+v, want some of at most %s", r.Usage, most)
	}
	return r
}

func TestAnswersAreJudged(t *testing.T) {
	t.Parallel()
	zeros := "[" + strings.Repeat("0,", 1023) + "0]"
	long := strings.Replace(unit(1024, 0), "1.0", "2.5", 1)
	for name, tc := range map[string]struct {
		params  string
		handler http.HandlerFunc
		status  checks.Status
		cause   checks.Cause
		says    string
	}{
		"well":                            {handler: good(), status: checks.OK, says: "2 vectors of 1024"},
		"a width that nobody expects":     {params: "model: other", handler: answer(counted, unit(3, 0), unit(3, 1)), status: checks.OK, says: "2 vectors of 3"},
		"a length that nobody expects":    {params: "model: other", handler: answer(counted, "[3,4]", "[4,3]"), status: checks.OK},
		"the wrong width":                 {handler: answer(counted, unit(512, 0), unit(512, 1)), status: checks.Failed, cause: checks.CauseAssertion, says: "512 wide, want 1024"},
		"the wrong width by choice":       {params: "dimensions: 512", handler: good(), status: checks.Failed, cause: checks.CauseAssertion, says: "1024 wide, want 512"},
		"uneven widths":                   {params: "model: other", handler: answer(counted, "[1]", "[1,2]"), status: checks.Failed, cause: checks.CauseAssertion, says: "vector 1 is 2 wide, the first 1"},
		"too long":                        {handler: answer(counted, long, unit(1024, 1)), status: checks.Failed, cause: checks.CauseAssertion, says: "length 2.5, want 1.01 or less"},
		"too short by choice":             {params: "norm: {min: 2, max: 3}", handler: good(), status: checks.Failed, cause: checks.CauseAssertion, says: "length 1, want 2 or more"},
		"null within":                     {handler: answer(counted, strings.Replace(unit(1024, 0), "1.0", "1.0,null", 1), unit(1024, 1)), status: checks.Failed, cause: checks.CauseMalformed, says: "element 1 of vector 0 is no finite number"},
		"beyond a float64":                {handler: answer(counted, unit(1024, 0), strings.Replace(unit(1024, 1), "1.0", "1e309", 1)), status: checks.Failed, cause: checks.CauseMalformed, says: "element 1 of vector 1"},
		"the largest that a float64 says": {params: "model: other", handler: answer(counted, "[1.7e308,1.7e308]", "[1,2]"), status: checks.OK},
		"nothing but zeros":               {handler: answer(counted, zeros, unit(1024, 1)), status: checks.Failed, cause: checks.CauseMalformed, says: "nothing but zeros"},
		"the same for different texts":    {handler: answer(counted, unit(1024, 0), unit(1024, 0)), status: checks.Failed, cause: checks.CauseAssertion, says: "texts 0 and 1 differ and have the same vector"},
		"the same for the same text":      {params: "input: [a, a]", handler: answer(counted, unit(1024, 0), unit(1024, 0)), status: checks.OK},
		"one too many":                    {handler: answer(counted, unit(1024, 0), unit(1024, 1), unit(1024, 2)), status: checks.Failed, cause: checks.CauseMalformed, says: "3 vectors for 2 texts"},
		"one too few":                     {handler: answer(counted, unit(1024, 0)), status: checks.Failed, cause: checks.CauseEmptyContent, says: "no vector for input 1"},
		"none":                            {handler: answer(counted), status: checks.Failed, cause: checks.CauseEmptyContent},
		"no numbers at all":               {handler: answer(counted, `"AAAA"`, `{}`), status: checks.Failed, cause: checks.CauseEmptyContent},
		"no usage":                        {handler: answer("", unit(1024, 0), unit(1024, 1)), status: checks.Degraded, cause: checks.CauseAssertion, says: "does not say how many tokens"},
		"no usage, and that is fine":      {params: "usage: false", handler: answer("", unit(1024, 0), unit(1024, 1)), status: checks.OK},
		"HTML":                            {handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, status: checks.Failed, cause: checks.CauseMalformed},
		"an error within a 200": {handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"object":"error","code":"3505","message":"full"}`)
		}, status: checks.Failed, cause: checks.CauseCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, tc.params, tc.handler)
			if r.Status != tc.status || r.Cause != tc.cause || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %q: %q, want %s %q: …%s…", r.Status, r.Cause, r.Summary, tc.status, tc.cause, tc.says)
			}
			if last := r.Evidence[len(r.Evidence)-1]; last.OK != (tc.status == checks.OK) {
				t.Errorf("the evidence ends in %+v", last)
			}
		})
	}
}

func TestARunIsMeasured(t *testing.T) {
	t.Parallel()
	r := run(t, "", good())
	got := map[string]float64{}
	for _, m := range r.Measurements {
		got[m.Name+m.Attrs["gen_ai.operation.name"]+m.Attrs["gen_ai.token.type"]+m.Attrs["model"]] = m.Value
	}
	for name, want := range map[string]float64{
		"probe.llm.embedding.dimensionsmistral-embed": 1024, "probe.llm.embedding.normmistral-embed": 1,
		"gen_ai.client.token.usageembeddingsinput": 14, "probe.http.status_code": 200,
	} {
		if value, ok := got[name]; !ok || math.Abs(value-want) > 1e-9 {
			t.Errorf("%s is %v (%v), want %v", name, value, ok, want)
		}
	}
	if _, ok := got["gen_ai.client.token.usageembeddingsoutput"]; ok {
		t.Error("there is a count of output tokens, of which embeddings have none")
	}
	if r.Usage.PromptTokens != 14 || r.Usage.CompletionTokens != 0 || r.Usage.Estimated || r.Usage.Cost != 1_400_000 {
		t.Errorf("usage %+v, want 14 tokens at 0.10 USD per million", r.Usage)
	}
	if r.Facts["request_id"] != "corr-7" || r.Facts["response_model"] != "mistral-embed" {
		t.Errorf("facts %v", r.Facts)
	}
}

func TestWhatIsNotCountedIsBookedAtItsWorst(t *testing.T) {
	t.Parallel()
	r := run(t, "", answer("", unit(1024, 0), unit(1024, 1)))
	if !r.Usage.Estimated || r.Usage.Cost <= 1_400_000 {
		t.Errorf("usage %+v, want the worst case", r.Usage)
	}
}

func TestTheWireCarriesModelAndTextsAndTheResultDoesNot(t *testing.T) {
	t.Parallel()
	const text = "a text that nobody may keep"
	r := run(t, "input: ['"+text+"']", func(w http.ResponseWriter, req *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(req.Body).Decode(&body); err != nil || len(body) != 2 || body["model"] != "mistral-embed" || req.URL.Path != "/v1/embeddings" {
			t.Errorf("%s got %v, %v", req.URL.Path, body, err)
		}
		answer(counted, unit(1024, 0))(w, req)
	})
	if all := fmt.Sprintf("%+v", r); strings.Contains(all, text) {
		t.Errorf("the result holds the text: %s", all)
	}
}

func TestAProviderThatMakesNoEmbeddingsIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := embeddings.Kind().New(checktest.Decoder("", key), checks.Env{Provider: "chat only"}); err == nil {
		t.Error("a provider that cannot embed was taken")
	}
}
