package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The words that an application may say of a service.
const (
	healthy   = "healthy"
	degraded  = "degraded"
	unhealthy = "unhealthy"
)

// report is what an application says of one service.
type report struct {
	place           string // where it was found: "services.mistral", "the root"
	status          string // one of the three words
	provider, model string
	latency         time.Duration // -1 where it says none
	err             string        // the error's texts, one per line; "" where there is none
	at              time.Time     // zero where it says none
}

// wire is the shape of a service, at its place or at the root.
type wire struct {
	Status    json.RawMessage `json:"status"`
	Provider  json.RawMessage `json:"provider"`
	Model     json.RawMessage `json:"model"`
	LatencyMs json.RawMessage `json:"latencyMs"`
	Error     json.RawMessage `json:"error"`
	Timestamp json.RawMessage `json:"timestamp"`
}

// read finds what a body says of a service. problem says what it found instead, without quoting the body, "" for none.
// Where there are services the one that is asked for must be among them: the root then speaks of the whole application.
func read(body []byte, service string) (r report, problem string) {
	if problem := notJSON(body); problem != "" {
		return report{}, problem
	}
	var root struct {
		Services json.RawMessage `json:"services"`
		wire
	}
	if body = bytes.TrimSpace(body); body[0] != '{' || json.Unmarshal(body, &root) != nil {
		return report{}, "JSON that is not an object"
	}
	if absent(root.Services) {
		return root.report("the root", root.Timestamp)
	}
	var services map[string]json.RawMessage
	if json.Unmarshal(root.Services, &services) != nil {
		return report{}, "services that are not an object"
	}
	entry, ok := services[service]
	if !ok {
		return report{}, "services without " + service
	}
	var w wire
	place := "services." + service
	if entry = bytes.TrimSpace(entry); len(entry) == 0 || entry[0] != '{' || json.Unmarshal(entry, &w) != nil {
		return report{}, place + " that is not an object"
	}
	return w.report(place, root.Timestamp)
}

// notJSON names why a body is not JSON, "" where it is.
func notJSON(body []byte) string {
	switch trimmed := bytes.TrimSpace(body); {
	case len(trimmed) == 0:
		return "an empty body"
	case trimmed[0] == '<':
		return "HTML"
	case !json.Valid(trimmed):
		return "something that is not JSON"
	}
	return ""
}

func (w *wire) report(place string, rootTime json.RawMessage) (r report, problem string) {
	r = report{place: place, provider: text(w.Provider), model: text(w.Model), latency: -1}
	if r.status = word(text(w.Status)); r.status == "" {
		if absent(w.Status) {
			return r, place + " without a status"
		}
		return r, place + " with a status of another word"
	}
	if !absent(w.LatencyMs) {
		var ms float64
		if json.Unmarshal(w.LatencyMs, &ms) != nil || ms < 0 || ms > float64(math.MaxInt64/time.Millisecond) {
			return r, place + " with a latencyMs that is not a number of milliseconds"
		}
		r.latency = time.Duration(ms * float64(time.Millisecond))
	}
	r.err = strings.TrimSpace(texts(w.Error))
	for _, raw := range []json.RawMessage{w.Timestamp, rootTime} {
		if r.at.IsZero() && !absent(raw) {
			if r.at = moment(raw); r.at.IsZero() {
				return r, "a timestamp that is neither RFC 3339 nor a Unix time"
			}
		}
	}
	return r, ""
}

// word is the one of the three words that status is, in upper or lower case; "" for none.
func word(status string) string {
	for _, word := range []string{healthy, degraded, unhealthy} {
		if strings.EqualFold(status, word) {
			return word
		}
	}
	return ""
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// text is a string, "" for all else.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

// texts are all strings and numbers within a value, one per line; "" for what says that there is none: null, false, an
// empty string, list or object.
func texts(raw []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var lines []string
	for {
		token, err := decoder.Token()
		if err != nil {
			return strings.Join(lines, "\n")
		}
		switch token := token.(type) {
		case string, json.Number:
			lines = append(lines, fmt.Sprint(token))
		case bool:
			if token {
				lines = append(lines, "true")
			}
		}
	}
}

// moment reads RFC 3339, or a Unix time in seconds or milliseconds; zero where it is neither.
func moment(raw json.RawMessage) time.Time {
	if s := text(raw); s != "" {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return time.Time{}
		}
		return at
	}
	var unix float64
	const soon = 1e11 // seconds up to the year 5138; milliseconds from 1973
	if json.Unmarshal(raw, &unix) != nil || unix <= 0 || unix > soon*1000 {
		return time.Time{}
	}
	if unix < soon {
		unix *= 1000
	}
	return time.UnixMilli(int64(unix))
}

// errorInside reports whether a body is JSON that says that it is an error: of an API, of GraphQL, of a model's provider,
// or one within the events of a stream.
func errorInside(body []byte) bool {
	if json.Valid(body) {
		return saysError(body)
	}
	for line := range bytes.Lines(body) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && saysError(bytes.TrimSpace(data)) {
			return true
		}
	}
	return false
}

func saysError(object []byte) bool {
	var root struct {
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
		Object  json.RawMessage `json:"object"`
		Status  json.RawMessage `json:"status"`
		Success json.RawMessage `json:"success"`
	}
	if json.Unmarshal(object, &root) != nil {
		return false
	}
	return !nothing(root.Error) || !nothing(root.Errors) || text(root.Object) == "error" || text(root.Status) == "error" ||
		string(root.Success) == "false"
}

// nothing reports whether a value is absent, or JSON without anything in it.
func nothing(raw []byte) bool {
	none := []string{"", "null", "false", "0", `""`, "{}", "[]"}
	return slices.Contains(none, string(bytes.TrimSpace(raw)))
}

// errorText is what an object says of errors, at its root and of its services, one text per line.
func errorText(body []byte) string {
	type words struct {
		Error   json.RawMessage `json:"error"`
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	var root struct {
		words
		Services map[string]json.RawMessage `json:"services"`
	}
	_ = json.Unmarshal(body, &root) // what cannot be read says nothing
	all := []words{root.words}
	for _, raw := range root.Services {
		var w words
		_ = json.Unmarshal(raw, &w)
		all = append(all, w)
	}
	var lines []string
	for _, w := range all {
		lines = append(lines, texts(w.Error), texts(w.Message), texts(w.Detail))
	}
	return strings.Join(lines, "\n")
}
