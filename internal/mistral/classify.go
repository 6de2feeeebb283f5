package mistral

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Verdict is what an answer other than a success means.
type Verdict struct {
	Cause  checks.Cause // CauseNone for a 2xx
	Reason string       // bounded: "code_1300", "http_520", "html_403", "zero_limit", "month"
	Type   string       // the server's error type, sanitised, at most 64 bytes
	Code   string       // the server's error code where it is digits
	Detail string       // the server's message, sanitised, at most 200 bytes. It may echo what was sent: scrub it
}

var digits = regexp.MustCompile(`^[0-9]{1,6}$`)

// Classify names the one cause of an answer, from its status, header and body, whatever their shape. It is pure.
//
// A 429 with an allowance of zero is permanent, before it is anything else; then capacity is the provider's, a used-up
// month is quota, and the rest is rate_limited. A body that is not JSON where the status alone does not tell
// (400, 403, 404, 422 from a challenge page or a captive portal) is malformed. A bare 404 is a wrong path or host and
// so bad_request; only an answer that speaks of the model is model_gone. What nobody has seen: other 4xx are
// bad_request, all 5xx are server, 3xx are redirects, the rest is malformed, each with the status as its reason.
func Classify(status int, header http.Header, body []byte) Verdict {
	e := parseError(body)
	v := Verdict{Type: outbound.Sanitize(e.Type, 64), Detail: outbound.Sanitize(e.Message, 200)}
	if digits.MatchString(e.Code) {
		v.Code = e.Code
	}
	v.Reason = "http_" + strconv.Itoa(status)
	if v.Code != "" {
		v.Reason = "code_" + v.Code
	}
	switch {
	case status >= 200 && status < 300:
		v.Reason = ""
	case status >= 300 && status < 400:
		v.Cause = checks.CauseUnexpectedRedirect
	case status >= 400 && status < 500:
		v.client(status, header, e)
	case status >= 500 && status < 600:
		v.Cause = checks.CauseServer
		if status == http.StatusServiceUnavailable && e.capacity() {
			v.Cause = checks.CauseCapacity
		}
	default:
		v.Cause = checks.CauseMalformed
	}
	return v
}

// client judges the 4xx.
func (v *Verdict) client(status int, header http.Header, e apiError) {
	switch status {
	case http.StatusUnauthorized:
		v.Cause = checks.CauseAuth
		return
	case http.StatusPaymentRequired:
		v.Cause = checks.CausePayment
		return
	case http.StatusTooManyRequests:
		v.limited(header, e)
		return
	case http.StatusRequestTimeout:
		v.Cause = checks.CauseTimeout
		return
	}
	switch {
	case !e.JSON && !e.Empty:
		v.Cause, v.Reason = checks.CauseMalformed, fmt.Sprintf("%s_%d", e.Kind, status)
	case status == http.StatusForbidden:
		v.Cause = checks.CauseForbidden
	case slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}, status) && e.modelGone():
		v.Cause = checks.CauseModelGone
	default:
		v.Cause = checks.CauseBadRequest
	}
}

// limited judges the 429.
func (v *Verdict) limited(header http.Header, e apiError) {
	limits := parseLimits(header)
	switch {
	case slices.ContainsFunc(limits, func(l RateLimit) bool { return l.Limit == 0 }):
		v.Cause, v.Reason = checks.CauseNoAllowance, "zero_limit"
	case e.capacity():
		v.Cause = checks.CauseCapacity
	case slices.ContainsFunc(limits, func(l RateLimit) bool { return l.Window == "month" && l.Remaining == 0 }):
		v.Cause, v.Reason = checks.CauseQuota, "month"
	default:
		v.Cause = checks.CauseRateLimited
	}
}

// classifyFrame judges an error object that arrived with status 200, in a stream or alone. It knows its own status, or
// its code and type tell, or it is the server's fault.
func classifyFrame(header http.Header, body []byte) Verdict {
	e := parseError(body)
	status := e.Status
	if status < 400 || status > 599 {
		status = e.impliedStatus()
	}
	return Classify(status, header, body)
}

// apiError is an error body, as much of it as could be read. At least nine shapes are in use.
type apiError struct {
	JSON, Empty bool
	Kind        string // of what is not JSON: "html", "text"
	Type, Code  string
	Message     string
	Status      int // raw_status_code
}

func parseError(body []byte) apiError {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return apiError{Empty: true}
	}
	if !json.Valid(trimmed) {
		kind := "text"
		if looksLikeHTML(trimmed) {
			kind = "html"
		}
		return apiError{Kind: kind}
	}
	e := apiError{JSON: true}
	e.read(trimmed, 4)
	return e
}

func looksLikeHTML(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// read takes what an object (or a list of objects, or a string) tells; what is outside counts before what is inside.
func (e *apiError) read(raw json.RawMessage, depth int) {
	if depth == 0 {
		return
	}
	if s := scalar(raw); s != "" {
		e.say(s)
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, item := range list[:min(len(list), 3)] {
			e.read(item, depth-1)
		}
		return
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return
	}
	first(&e.Type, scalar(object["type"]))
	first(&e.Code, scalar(object["code"]))
	if n, err := strconv.Atoi(scalar(object["raw_status_code"])); err == nil && e.Status == 0 {
		e.Status = n
	}
	for _, name := range []string{"message", "msg", "detail", "error"} {
		if inner, ok := object[name]; ok {
			e.read(inner, depth-1)
		}
	}
	var loc []json.RawMessage // of a validation error: which field; never its input, which is what was sent
	if json.Unmarshal(object["loc"], &loc) == nil {
		var path []string
		for _, part := range loc[:min(len(loc), 8)] {
			path = append(path, scalar(part))
		}
		e.say("at " + strings.Join(path, "."))
	}
}

func (e *apiError) say(s string) {
	if e.Message != "" {
		e.Message += ", "
	}
	e.Message += s
}

func first(into *string, value string) {
	if *into == "" {
		*into = value
	}
}

// scalar is a string or a number as text, "" for all else. raw is valid JSON, without space around it.
func scalar(raw json.RawMessage) string {
	if text, ok := simple(raw); ok {
		return text
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// simple is scalar for what needs no decoder: a string of ASCII without escapes, a count, and all that is neither string
// nor number.
func simple(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 {
		return "", true
	}
	switch raw[0] {
	case '{', '[', 't', 'f', 'n':
		return "", true
	case '"':
	default:
		return string(raw), within(string(raw), 18, "0123456789") && raw[0] != '0'
	}
	inner := raw[1:max(len(raw)-1, 1)]
	for _, c := range inner {
		if c < ' ' || c > '~' || c == '\\' || c == '"' {
			return "", false
		}
	}
	return string(inner), true
}

func (e *apiError) contains(words ...string) bool {
	text := strings.ToLower(e.Message)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// capacity: Mistral is full (codes 3505 and 3810, recorded in 2025 and 2026).
func (e *apiError) capacity() bool {
	return e.Code == "3505" || e.Code == "3810" || strings.Contains(e.Type, "capacity_exceeded") ||
		e.Type == "engine_max_pending_tokens" || e.contains("capacity exceeded")
}

// modelGone: the answer speaks of a model that is not there.
func (e *apiError) modelGone() bool {
	switch {
	case e.Type == "invalid_model", e.Code == "1500", e.Code == "3003", e.Code == "model_not_found", e.contains("not in use"):
		return true
	case e.Code == "3051", e.Code == "3210", e.Type == "extra_forbidden": // arguments, prompt, a field: whatever the words say of the model
		return false
	}
	return e.contains("model") && e.contains("not found", "does not exist", "deprecated", "retired", "no longer available", "invalid model")
}

// impliedStatus is the status that an error's code and type had when they came with one.
func (e *apiError) impliedStatus() int {
	switch {
	case e.capacity(), e.Type == "rate_limited", e.Code == "1300":
		return http.StatusTooManyRequests
	case e.Type == "tier_not_allowed", e.Type == "labs_not_enabled", e.Code == "1910", e.Code == "1913":
		return http.StatusForbidden
	case e.modelGone(), strings.HasPrefix(e.Type, "invalid_request"):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
