package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// vector is an answer of one series, evaluated now.
func vector(value string) string {
	return fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,%q]}]}}`, time.Now().Unix(), value)
}

func TestTheKindPassesTheSuite(t *testing.T) {
	params := func(url string) string {
		return "url: " + url + "\nqueries: [{name: a, query: up}, {name: b.c, query: sum(up), unit: s}]\nauth: {basic: {username: windsock, password: a-reference}}\n"
	}
	checktest.Run(t, prometheus.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Env: checks.Env{Network: network(t)}, Params: params(outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				if _, password, _ := r.BasicAuth(); password != key {
					w.WriteHeader(http.StatusUnauthorized)
				}
				_, _ = io.WriteString(w, vector("1"))
			}))}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Env: checks.Env{Network: network(t)}, Params: params("http://" + outboundtest.Refused(t))}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			return checktest.Case{Env: checks.Env{Network: network(t)}, Params: params(url), Reached: reached}
		},
		Refused: map[string]string{
			"no URL":                          "queries: [{name: a, query: up}]",
			"a URL of the API":                "url: http://a.example/api/v1\nqueries: [{name: a, query: up}]",
			"a URL with a query":              "url: http://a.example?x=1\nqueries: [{name: a, query: up}]",
			"a URL with a password":           "url: http://u:p@a.example\nqueries: [{name: a, query: up}]",
			"nothing to ask":                  "url: http://a.example",
			"a name with a space":             one("name: a b, query: up"),
			"a name in upper case":            one("name: Errors, query: up"),
			"a name that ends in a dot":       one("name: a., query: up"),
			"a name that is too long":         one("name: " + strings.Repeat("a", 65) + ", query: up"),
			"no name":                         one("query: up"),
			"no query":                        one("name: a, query: ' '"),
			"a query beyond its bound":        one("name: a, query: " + strings.Repeat("a", 17<<10)),
			"two names that Prometheus mixes": "url: http://a.example\nqueries: [{name: a.b, query: up}, {name: a_b, query: up}]",
			"a unit with a space":             one("name: a, query: up, unit: 'a b'"),
			"a negative age":                  one("name: a, query: up, max_age: -1s"),
			"an age that nothing tells":       one("name: a, query: sum(up), max_age: 1m"),
			"an age of an expression":         one("name: a, query: sum(up), age_of: sum(up)"),
			"another policy":                  one("name: a, query: up, missing: zero"),
			"another policy for parts":        one("name: a, query: up") + "\npartial: fail",
			"a label twice":                   one("name: a, query: up, by: [job, exported_job]"),
			"a label that is none":            one("name: a, query: up, by: ['a-b']"),
			"a label of Prometheus itself":    one("name: a, query: up, by: [__name__]"),
			"too many labels":                 one("name: a, query: up, by: [a, b, c, d, e, f, g, h, i]"),
			"too many series":                 one("name: a, query: up, by: [a], max_series: 101"),
			"a negative number of series":     one("name: a, query: up, by: [a], max_series: -1"),
			"more than a run may measure":     "url: http://a.example\nqueries: [{name: a, query: up, by: [x], max_series: 100}, {name: b, query: up, by: [x], max_series: 100}]",
			"a limit that is no number":       one("name: a, query: up, above: .nan"),
			"a blame that nobody knows":       one("name: a, query: up, blame: weather"),
			"a blame for what was not run":    one("name: a, query: up, blame: skipped"),
			"a header that is a credential":   one("name: a, query: up") + "\nheaders: {Authorization: Bearer x}",
			"an aggregate without a range":    one("name: a, query: up, aggregate: max"),
			"a step without a range":          one("name: a, query: up, step: 1m"),
			"a range without an aggregate":    one("name: a, query: up, range: 5m"),
			"an aggregate nobody knows":       one("name: a, query: up, range: 5m, aggregate: median"),
			"a range of the future":           one("name: a, query: up, range: -5m, aggregate: max"),
			"a range of years":                one("name: a, query: up, range: 10000h, step: 100h, aggregate: max"),
			"a step beyond the range":         one("name: a, query: up, range: 5m, step: 10m, aggregate: max"),
			"a step of milliseconds":          one("name: a, query: up, range: 5m, step: 10ms, aggregate: max"),
			"too many steps":                  one("name: a, query: up, range: 1h, step: 1s, aggregate: max"),
			"too many samples":                one("name: a, query: up, by: [x], max_series: 100, range: 1h, step: 10s, aggregate: max"),
			"another preset":                  "url: http://a.example\npreset: golden",
			"metrics without a preset":        one("name: a, query: up") + "\nmetrics: {cost: x}",
			"a metric that nobody could have": "url: http://a.example\npreset: checklist\nmetrics: {cost: a.b}",
			"an unknown metric":               "url: http://a.example\npreset: checklist\nmetrics: {requests: a}",
			"matchers that leave the braces":  "url: http://a.example\npreset: checklist\nmetrics: {matchers: 'a=\"b\"} or up{'}",
			"half a client certificate":       one("name: a, query: up") + "\ntls: {cert_file: a.pem}",
			"two ways to prove who asks":      one("name: a, query: up") + "\nauth: {bearer: x, basic: {username: u, password: x}}",
		},
	})
}

func one(query string) string { return "url: http://a.example\nqueries: [{" + query + "}]" }

func TestBadParametersAreRefusedAtTheirPlace(t *testing.T) {
	t.Parallel()
	for params, path := range map[string]string{
		one("name: A, query: up"):                                            "queries.0.name",
		one("name: a, query: sum(up), max_age: 1m"):                          "queries.0.age_of",
		one("name: a, query: up, by: [a, '']"):                               "queries.0.by.1",
		one("name: a, query: up") + "\npartial: perhaps":                     "partial",
		one("name: a, query: up, range: 5m, step: 1ms, aggregate: max"):      "queries.0.step",
		one("name: a, query: up, range: 5m"):                                 "queries.0.aggregate",
		"url: http://a.example\npreset: checklist\nmetrics: {cost: a.b}":     "metrics.cost",
		"url: http://a.example\npreset: checklist\nmetrics: {matchers: '}'}": "metrics.matchers",
		"url: ftp://a.example\nqueries: [{name: a, query: up}]":              "url",
	} {
		err := prometheus.Kind().Validate(checktest.Decoder(params, ""))
		if param, ok := errors.AsType[*checks.ParamError](err); !ok || param.Path != path {
			t.Errorf("%s gave %v, want an error at %s", params, err, path)
		}
	}
}

func TestEveryOtherAnswerHasOneCauseAndNoNumber(t *testing.T) {
	t.Parallel()
	none := map[string]float64{}
	sample := func(text string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":` + text + `}]}}`
	}
	failed := func(cause checks.Cause, blame checks.Blame, says string) question {
		return question{status: checks.Failed, cause: cause, blame: blame, says: says, values: none}
	}
	broken := failed(checks.CauseMalformed, checks.BlameOurs, "a sample that is not")
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    question
	}{
		"an HTML page":               {answering(200, "<html>login</html>"), failed(checks.CauseMalformed, checks.BlameOurs, "200 OK with an HTML page")},
		"an empty body":              {answering(200, ""), failed(checks.CauseMalformed, checks.BlameOurs, "an empty body")},
		"JSON of another server":     {answering(200, `{"ok":true}`), failed(checks.CauseMalformed, checks.BlameOurs, "JSON of another shape")},
		"JSON that is cut":           {answering(200, vector("1")[:40]), failed(checks.CauseMalformed, checks.BlameOurs, "cut or broken")},
		"a redirect to a login":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, failed(checks.CauseUnexpectedRedirect, checks.BlameOurs, "302")},
		"a wrong password":           {answering(401, "Unauthorized"), failed(checks.CauseAuth, checks.BlameOurs, "401")},
		"not allowed":                {answering(403, `{"status":"error","errorType":"forbidden","error":"no"}`), failed(checks.CauseForbidden, checks.BlameOurs, "403 Forbidden, forbidden: no")},
		"too many requests":          {answering(429, "slow down"), failed(checks.CauseRateLimited, checks.BlameOurs, "429")},
		"a gateway without server":   {answering(502, "<html>bad gateway</html>"), failed(checks.CauseServer, checks.BlameOurs, "502 Bad Gateway with an HTML page")},
		"an internal error":          {answering(500, `{"status":"error","errorType":"internal","error":"disk"}`), failed(checks.CauseServer, checks.BlameOurs, "internal: disk")},
		"a query that took too long": {answering(503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`), failed(checks.CauseTimeout, checks.BlameOurs, "timed out")},
		"a server that starts":       {answering(503, "Service Unavailable"), failed(checks.CauseServer, checks.BlameOurs, "503")},
		"an error within a 200":      {answering(200, `{"status":"error","errorType":"odd","error":"x"}`), failed(checks.CauseMalformed, checks.BlameOurs, "200 OK, odd: x")},
		"success within a 500":       {answering(500, vector("1")), failed(checks.CauseServer, checks.BlameOurs, "500")},
		"a type nobody knows":        {answering(200, `{"status":"success","data":{"resultType":"tensor","result":[]}}`), failed(checks.CauseMalformed, checks.BlameOurs, "nobody knows")},
		"no data":                    {answering(200, `{"status":"success"}`), failed(checks.CauseMalformed, checks.BlameOurs, "nobody knows")},
		"a vector that is null":      {answering(200, `{"status":"success","data":{"resultType":"vector","result":null}}`), failed(checks.CauseMalformed, checks.BlameOurs, "cannot be read")},
		"a vector that is an object": {answering(200, `{"status":"success","data":{"resultType":"vector","result":{}}}`), failed(checks.CauseMalformed, checks.BlameOurs, "cannot be read")},
		"a number that is a number":  {answering(200, sample(`[1795777342,7]`)), broken},
		"half a sample":              {answering(200, sample(`[1795777342]`)), broken},
		"no sample":                  {answering(200, sample(`null`)), broken},
		"a time that is a text":      {answering(200, sample(`["now","7"]`)), broken},
		"a time before time":         {answering(200, sample(`[-1,"7"]`)), broken},
		"a time in milliseconds":     {answering(200, sample(`[1795777342000,"7"]`)), broken},
		"a hexadecimal number":       {answering(200, sample(`[1795777342,"0x10"]`)), broken},
		"a number beyond all":        {answering(200, sample(`[1795777342,"1e999"]`)), broken},
		"a number with a unit":       {answering(200, sample(`[1795777342,"7ms"]`)), broken},
		"an empty number":            {answering(200, sample(`[1795777342,""]`)), broken},
		"a native histogram": {
			answering(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1795777342,{"count":"1","sum":"1"}]}]}}`),
			question{status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "native histogram", values: none},
		},
		"a huge answer": {
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`)
				for i := range 1 << 20 {
					if _, err := fmt.Fprintf(w, `{"metric":{"i":"%d"},"value":[1795777342,"1"]},`, i); err != nil {
						return
					}
				}
			},
			failed(checks.CauseResponseTooLarge, checks.BlameOurs, "larger than its bound"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ask(t, outboundtest.Serve(t, tc.handler), "query: sum(up)", "")
			tc.want.hold(t, r)
			if slices.IndexFunc(r.Evidence, func(s checks.Step) bool { return !s.OK }) < 0 {
				t.Errorf("no step of the evidence says what is wrong: %+v", r.Evidence)
			}
		})
	}
}

func TestAnAnswerWithWarningsIsPerhapsPartial(t *testing.T) {
	t.Parallel()
	warned := func(kind string) string {
		return outboundtest.Serve(t, answering(200, strings.Replace(vector("7"), `"data"`, `"`+kind+`":["receive series from store-2: context deadline exceeded","b"],"data"`, 1)))
	}
	const says = "perhaps partial, 2 warnings: receive series from store-2"
	for name, tc := range map[string]struct {
		url, partial string
		want         question
	}{
		"unknown unless told":   {warned("warnings"), "", question{status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: says, values: map[string]float64{}}},
		"degraded":              {warned("warnings"), "partial: degraded", question{status: checks.Degraded, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: says, values: map[string]float64{"": 7}}},
		"ignored":               {warned("warnings"), "partial: ignore", question{values: map[string]float64{"": 7}}},
		"infos are no warning":  {warned("infos"), "", question{values: map[string]float64{"": 7}}},
		"infos of 2.48 to 2.55": {outboundtest.Serve(t, answering(200, strings.Replace(vector("7"), `"data"`, `"warnings":["PromQL info: metric might not be a counter, about store-2"],"data"`, 1))), "", question{values: map[string]float64{"": 7}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ask(t, tc.url, "query: sum(up)", tc.partial)
			tc.want.hold(t, r)
			if text := fmt.Sprint(r.Evidence); !strings.Contains(text, "store-2") {
				t.Errorf("the evidence does not quote the server: %s", text)
			}
		})
	}
}

func TestTheWorstQueryDecidesAndTheOthersAreStillMeasured(t *testing.T) {
	t.Parallel()
	url := outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.FormValue("query") {
		case "bad":
			answering(400, `{"status":"error","errorType":"bad_data","error":"no"}`)(w, r)
		case "none":
			answering(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`)(w, r)
		default:
			_, _ = io.WriteString(w, vector("7"))
		}
	})
	r := run(t, "url: "+url+"/\nqueries: [{name: n, query: none}, {name: a, query: a + 0}, {name: x, query: bad}, {name: y, query: bad}, {name: b, query: b + 0, unit: ms}]\n")
	if r.Status != checks.Failed || r.Cause != checks.CauseBadRequest || !strings.HasPrefix(r.Summary, "x: 400 Bad Request, bad_data: no (and 1 more failed)") {
		t.Errorf("%s %q: %s", r.Status, r.Cause, r.Summary)
	}
	var got []string
	for _, m := range r.Measurements {
		got = append(got, fmt.Sprintf("%s%s=%v%s", m.Name, m.Attrs["query"], m.Value, m.Unit))
	}
	want := []string{
		"probe.http.status_code=400", "probe.prometheus.seriesn=0", "probe.prometheus.seriesa=1", "query.a=7", "probe.prometheus.seriesb=1", "query.b=7ms",
	}
	if !slices.Equal(got, want) {
		t.Errorf("measured %v, want %v", got, want)
	}
}

func TestAServerThatCannotBeReachedIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	var queries []string
	for i := range 20 {
		queries = append(queries, fmt.Sprintf("{name: q%d, query: up}", i))
	}
	r := run(t, "url: http://"+outboundtest.Refused(t)+"\nqueries: ["+strings.Join(queries, ", ")+"]\n")
	if r.Status != checks.Failed || r.Cause != checks.CauseConnect || r.Blame != checks.BlameNone || !strings.HasSuffix(r.Summary, "(and 19 more failed)") {
		t.Errorf("%s %q blame %q: %s", r.Status, r.Cause, r.Blame, r.Summary)
	}
	if !strings.Contains(fmt.Sprint(r.Evidence), "not asked") {
		t.Errorf("all were asked: %+v", r.Evidence)
	}
}

func TestASlowServerIsATimeoutAndOurOwn(t *testing.T) {
	t.Parallel()
	address := outboundtest.Raw(t, func(conn net.Conn, done <-chan struct{}) {
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"status\":")
		<-done
	})
	check, err := prometheus.New(prometheus.Params{URL: "http://" + address, Queries: []prometheus.Query{{Name: "a", Query: "up"}}}, checks.Env{Network: network(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	r, err := check.Run(ctx)
	if err != nil || r.Status != checks.Failed || r.Cause != checks.CauseTimeout || r.Blame != checks.BlameOurs {
		t.Errorf("%s %q blame %q (%s), %v, want failed timeout, blame ours", r.Status, r.Cause, r.Blame, r.Summary, err)
	}
}

func TestAnAgeThatTheServerRefusesIsNotYouth(t *testing.T) {
	t.Parallel()
	url := outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.FormValue("query"), "timestamp") {
			answering(400, `{"status":"error","errorType":"bad_data","error":"unknown function timestamp"}`)(w, r)
			return
		}
		_, _ = io.WriteString(w, vector("7"))
	})
	want := question{status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "unknown function", values: map[string]float64{}}
	want.hold(t, ask(t, url, "query: up\nmax_age: 1m", ""))
	question{values: map[string]float64{"": 7}}.hold(t, ask(t, url, "query: up", ""))
}

func TestAnAnswerOfTheFutureHasNoAge(t *testing.T) {
	t.Parallel()
	url := outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		at := time.Now().Add(time.Hour).Unix()
		value := "7"
		if strings.Contains(r.FormValue("query"), "timestamp") {
			value = strconv.FormatInt(at, 10)
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,%q]}]}}`, at, value)
	})
	want := question{status: checks.Unknown, cause: checks.CauseAssertion, blame: checks.BlameOurs, says: "in the future", values: map[string]float64{}, age: [2]float64{-1, 1}}
	want.hold(t, ask(t, url, "query: up\nmax_age: 1m", ""))
	question{values: map[string]float64{"": 7}, age: [2]float64{-1, 1}}.hold(t, ask(t, url, "query: up", ""))
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	url := outboundtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		for header, want := range map[string]string{"Authorization": "Bearer " + key, "X-Scope-OrgID": "team-a", "Accept": "application/json"} {
			if got := r.Header.Get(header); got != want {
				t.Errorf("%s is %q, want %q", header, got, want)
			}
		}
		if r.URL.Path != "/a/prefix/api/v1/query" || r.FormValue("time") != "" {
			t.Errorf("asked for %s, want no time of ours: the server's clock counts", r.URL)
		}
		_, _ = io.WriteString(w, vector("7"))
	})
	r := ask(t, url+"/a/prefix/", "query: sum(up)", "auth: {bearer: a-reference}\nheaders: {X-Scope-OrgID: team-a}\n")
	if r.Status != checks.OK || requests.Load() != 1 {
		t.Errorf("%s (%s) after %d requests", r.Status, r.Summary, requests.Load())
	}
}

func TestAServerThatEchoesTheKeyIsNotQuoted(t *testing.T) {
	t.Parallel()
	echo := func(r *http.Request) string { return url.QueryEscape(r.Header.Get("Authorization") + " " + key) }
	for name, handler := range map[string]http.HandlerFunc{
		"in an error": func(w http.ResponseWriter, r *http.Request) {
			answering(400, fmt.Sprintf(`{"status":"error","errorType":"bad_data","error":%q}`, echo(r)))(w, r)
		},
		"in a warning": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Replace(vector("7"), `"data"`, fmt.Sprintf(`"warnings":[%q],"data"`, echo(r)), 1))
		},
		"in a label": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Replace(vector("7"), `"metric":{}`, fmt.Sprintf(`"metric":{"l":%q}`, echo(r)), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask(t, outboundtest.Serve(t, handler), "query: up\nby: [l]", "auth: {bearer: a-reference}\npartial: degraded\n") // run looks for the key
		})
	}
}

func TestALabelThatIsNoTextIsMadeFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 200)
	url := outboundtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Replace(vector("7"), `"metric":{}`, `"metric":{"Long":"`+long+`","lines":"a\nb\u0000","empty":""}`, 1))
	})
	r := ask(t, url, "query: up\nby: [Long, lines, empty, absent]", "") // run holds what checktest.Valid does
	last := r.Measurements[len(r.Measurements)-1]
	if last.Attrs["lines"] != "a b" || len(last.Attrs) != 2 || !strings.HasSuffix(last.Attrs["long"], "…") {
		t.Errorf("attributes %q", last.Attrs)
	}
}

func TestLabelsThatBecomeTheSameAreNotToldApart(t *testing.T) {
	t.Parallel()
	const two = `{"metric":{"l":"%[1]sa"},"value":[1795776900,"1"]},{"metric":{"l":"%[1]sb"},"value":[1795776900,"2"]}`
	body := `{"status":"success","data":{"resultType":"vector","result":[` + fmt.Sprintf(two, strings.Repeat("x", 300)) + `]}}`
	want := question{status: checks.Unknown, cause: checks.CauseBadRequest, blame: checks.BlameConfig, says: "several of 2 series have the same labels (l=xxx", values: map[string]float64{}}
	want.hold(t, ask(t, outboundtest.Serve(t, answering(200, body)), "query: sum(up)\nby: [l]", ""))
}

func TestANetworkThatMakesNoRequestsIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := prometheus.New(prometheus.Params{}, checks.Env{Network: 7}); err == nil {
		t.Error("a number was taken for a network")
	}
}
