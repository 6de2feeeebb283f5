package promql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/fetch"
)

// Answer is what an instant query gave: the numbers, and when they were true by the server's clock.
type Answer struct {
	At       time.Time // of the evaluation; zero for an empty vector, which tells none
	Samples  []Sample
	Warnings []string // the answer may be incomplete
	Infos    []string // about the query, as it is written
}

// Sample is one series of an instant vector. A scalar is a sample without labels.
type Sample struct {
	Labels map[string]string
	Value  float64 // may be NaN or infinite
}

var numbers = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$`)

// wire is the envelope of the HTTP API, version 1 (prometheus.io/docs/prometheus/latest/querying/api, and recorded
// answers in testdata). Fields that nobody knows are left alone.
type wire struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Infos     []string `json:"infos"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

type wireSeries struct {
	Metric    map[string]string `json:"metric"`
	Value     json.RawMessage   `json:"value"`
	Histogram json.RawMessage   `json:"histogram"`

	Values     []json.RawMessage `json:"values"` // of a range
	Histograms json.RawMessage   `json:"histograms"`
}

// Matrix is what a range query gave. Steps at which a series had no sample are not there.
type Matrix struct {
	Series   []Series
	Warnings []string
	Infos    []string
}

// Series is one series of a range, oldest first.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is one number of a series.
type Point struct {
	At    time.Time
	Value float64 // may be NaN or infinite
}

// read makes an answer of a whole HTTP answer, or says why there is none.
func read(a *fetch.Answer) (Answer, *Problem) {
	w, p := readWire(a)
	if p != nil {
		return Answer{}, p
	}
	out, p := w.answer()
	if p != nil {
		return Answer{}, p
	}
	out.Warnings, out.Infos = w.said()
	return out, nil
}

// readMatrix is read for a range query.
func readMatrix(a *fetch.Answer) (Matrix, *Problem) {
	w, p := readWire(a)
	if p != nil {
		return Matrix{}, p
	}
	if w.Data.ResultType != "matrix" {
		return Matrix{}, failed(checks.CauseMalformed, "a result type that nobody asked for, want a range of samples (matrix)")
	}
	out, p := w.matrix()
	if p != nil {
		return Matrix{}, p
	}
	out.Warnings, out.Infos = w.said()
	return out, nil
}

func readWire(a *fetch.Answer) (wire, *Problem) {
	var w wire
	err := json.Unmarshal(a.Body, &w)
	if err != nil || (w.Status != "success" && w.Status != "error") {
		return wire{}, notOurs(a)
	}
	if w.Status == "error" || a.Status < 200 || a.Status > 299 {
		return wire{}, refused(a, w)
	}
	return w, nil
}

// said is what the server said beside its numbers.
func (w wire) said() (warnings, infos []string) {
	infos = w.Infos
	for _, text := range w.Warnings {
		if strings.HasPrefix(text, infoPrefix) {
			infos = append(infos, text)
			continue
		}
		warnings = append(warnings, text)
	}
	return warnings, infos
}

// infoPrefix is how Prometheus 2.48 to 2.55 tells among the warnings what later ones tell as infos
// (util/annotations of Prometheus).
const infoPrefix = "PromQL info:"

// notOurs judges an answer that is not the API's: a proxy's page, a login, another server.
func notOurs(a *fetch.Answer) *Problem {
	cause := a.Refusal()
	if cause == checks.CauseNone {
		cause = checks.CauseMalformed
	}
	return failed(cause, fmt.Sprintf("%s with %s, want the answer of a Prometheus API", a.StatusText(), looks(a.Body)))
}

// looks says in our own words what a body is.
func looks(body []byte) string {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return "an empty body"
	case json.Valid(body):
		return "JSON of another shape"
	case body[0] == '<':
		return "an HTML page"
	case body[0] == '{':
		return "JSON that is cut or broken"
	}
	return "text that is not JSON"
}

// refused judges an error of the API. The types are those of web/api/v1 of Prometheus; where one is not known the status
// tells.
func refused(a *fetch.Answer, w wire) *Problem {
	causes := map[string]checks.Cause{
		"bad_data": checks.CauseBadRequest, "execution": checks.CauseBadRequest, "not_found": checks.CauseBadRequest,
		"not_acceptable": checks.CauseBadRequest, "timeout": checks.CauseTimeout, "canceled": checks.CauseServer,
		"internal": checks.CauseServer, "unavailable": checks.CauseServer, "too_many_requests": checks.CauseRateLimited,
	}
	cause, known := causes[w.ErrorType]
	if !known {
		cause = a.Refusal()
	}
	if cause == checks.CauseNone { // 200, and yet an error
		cause = checks.CauseMalformed
	}
	return failed(cause, a.Line(fmt.Sprintf("%s, %s: %s", a.StatusText(), w.ErrorType, w.Error)))
}

func (w wire) answer() (Answer, *Problem) {
	switch w.Data.ResultType {
	case "scalar":
		at, value, p := readValue(w.Data.Result)
		return Answer{At: at, Samples: []Sample{{Value: value}}}, p
	case "vector":
		return readVector(w.Data.Result)
	case "matrix":
		return Answer{}, Unusable("a range of samples (matrix), want one number per series: drop the [range], or use a function such as rate()")
	case "string":
		return Answer{}, Unusable("a text (string), want a number")
	}
	return Answer{}, failed(checks.CauseMalformed, "a result type that nobody knows")
}

func readVector(raw json.RawMessage) (Answer, *Problem) {
	var all []wireSeries
	if err := json.Unmarshal(raw, &all); err != nil || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return Answer{}, failed(checks.CauseMalformed, "an instant vector that cannot be read")
	}
	out := Answer{Samples: make([]Sample, 0, len(all))}
	for _, s := range all {
		if len(s.Value) == 0 && len(s.Histogram) > 0 {
			return Answer{}, Unusable("a native histogram, want a number: use histogram_quantile() or histogram_count()")
		}
		at, value, p := readValue(s.Value)
		if p != nil {
			return Answer{}, p
		}
		if at.After(out.At) {
			out.At = at
		}
		out.Samples = append(out.Samples, Sample{Labels: s.Metric, Value: value})
	}
	return out, nil
}

func (w wire) matrix() (Matrix, *Problem) {
	var all []wireSeries
	if err := json.Unmarshal(w.Data.Result, &all); err != nil || bytes.Equal(bytes.TrimSpace(w.Data.Result), []byte("null")) {
		return Matrix{}, failed(checks.CauseMalformed, "a range of samples that cannot be read")
	}
	out := Matrix{Series: make([]Series, 0, len(all))}
	for _, s := range all {
		if len(s.Histograms) > 0 {
			return Matrix{}, Unusable("native histograms, want numbers: use histogram_quantile() or histogram_count()")
		}
		one := Series{Labels: s.Metric, Points: make([]Point, 0, len(s.Values))}
		for _, raw := range s.Values {
			at, value, p := readValue(raw)
			if p != nil {
				return Matrix{}, p
			}
			if n := len(one.Points); n > 0 && !at.After(one.Points[n-1].At) {
				return Matrix{}, failed(checks.CauseMalformed, "samples that are not in the order of their times")
			}
			one.Points = append(one.Points, Point{At: at, Value: value})
		}
		out.Series = append(out.Series, one)
	}
	return out, nil
}

// readValue reads [ <unix time>, "<number>" ], which is JSON already. By hand: an answer has thousands of them.
func readValue(raw json.RawMessage) (time.Time, float64, *Problem) {
	inner, isList := between(string(raw), "[", "]")
	first, second, _ := strings.Cut(inner, ",")
	text, isText := between(second, `"`, `"`)
	at, isTime := readNumber(strings.TrimSpace(first))
	value, isNumber := readNumber(text)
	if !isList || !isText || !isTime || !isNumber || !(at > 0 && at < 1e11) { // the year 5138: what is beyond is not seconds
		return time.Time{}, 0, failed(checks.CauseMalformed, "a sample that is not [time, \"number\"]")
	}
	whole, part := math.Modf(at)
	return time.Unix(int64(whole), int64(part*1e9)), value, nil
}

// between is what stands between the two ends of s, white space around it aside.
func between(s, left, right string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) < len(left)+len(right) || !strings.HasPrefix(s, left) || !strings.HasSuffix(s, right) {
		return "", false
	}
	return s[len(left) : len(s)-len(right)], true
}

// readNumber reads a number as Prometheus writes it: strconv alone would take hexadecimal and "infinity" as well.
func readNumber(text string) (float64, bool) {
	switch text {
	case "NaN":
		return math.NaN(), true
	case "+Inf", "Inf":
		return math.Inf(1), true
	case "-Inf":
		return math.Inf(-1), true
	}
	if !numbers.MatchString(text) {
		return 0, false
	}
	value, err := strconv.ParseFloat(text, 64)
	return value, err == nil
}
