package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// failure is an answer that is not the route's own.
type failure struct {
	status  int
	shape   string // of Shapes
	kind    string // type
	code    string // a string of digits, "" is null
	message string
	headers map[string]string
	detail  []violation // of the shapes that list
}

// violation is one entry of a FastAPI detail list.
type violation struct {
	Type  string   `json:"type"`
	Loc   []string `json:"loc"`
	Msg   string   `json:"msg"`
	Input any      `json:"input"`
}

// Errors are the names of the ready-made errors, as they were recorded or reported between 2025-06 and 2026-10.
func Errors() []string { return slices.Sorted(maps.Keys(presets())) }

func presets() map[string]failure {
	object := func(status int, kind, code, message string) failure {
		return failure{status: status, shape: "json", kind: kind, code: code, message: message}
	}
	none := object(http.StatusTooManyRequests, "rate_limited", "1300", "Rate limit exceeded")
	none.headers = map[string]string{"X-Ratelimit-Limit-Req-Minute": "0", "X-Ratelimit-Remaining-Req-Minute": "0"}
	return map[string]failure{
		"unauthorized":      {status: http.StatusUnauthorized, shape: "detail", message: "Unauthorized"},
		"invalid_api_key":   {status: http.StatusUnauthorized, shape: "detail", message: "Invalid API Key"},
		"payment_required":  object(http.StatusPaymentRequired, "payment_required", "", "Spending limit reached for this workspace"),
		"tier_not_allowed":  object(http.StatusForbidden, "tier_not_allowed", "1910", "This model is not available in your subscription tier"),
		"labs_not_enabled":  object(http.StatusForbidden, "labs_not_enabled", "1913", "Labs models are not enabled for this organization"),
		"invalid_model":     object(http.StatusBadRequest, "invalid_model", "1500", "Invalid model"),
		"model_not_in_use":  object(http.StatusBadRequest, "invalid_request_error", "3003", "This model is currently not in use."),
		"invalid_args":      object(http.StatusBadRequest, "invalid_request_invalid_args", "3051", "Invalid arguments for this model"),
		"rate_limited":      object(http.StatusTooManyRequests, "rate_limited", "1300", "Rate limit exceeded"),
		"no_allowance":      none,
		"capacity":          object(http.StatusTooManyRequests, "service_tier_capacity_exceeded", "3505", "Service tier capacity exceeded for this model."),
		"engine_pending":    object(http.StatusTooManyRequests, "engine_max_pending_tokens", "3810", "Capacity exceeded for this model."),
		"capacity_503":      object(http.StatusServiceUnavailable, "service_tier_capacity_exceeded", "3505", "Service tier capacity exceeded for this model."),
		"internal":          object(http.StatusInternalServerError, "internal_server_error", "1000", "Service unavailable."),
		"unavailable":       object(http.StatusServiceUnavailable, "internal_server_error", "3800", "Service unavailable."),
		"bad_gateway":       {status: http.StatusBadGateway, shape: "html"},
		"gateway_timeout":   {status: http.StatusGatewayTimeout, shape: "empty"},
		"cloudflare":        {status: 520, shape: "html"},
		"extra_forbidden":   forbidden("max_completion_tokens", json.Number("16"), "nested_object"),
		"captive_portal":    {status: http.StatusOK, shape: "not_json_200"},
		"kong_unauthorized": {status: http.StatusUnauthorized, shape: "kong", message: "Unauthorized"},
	}
}

// generic is the error that Mistral would most likely send with a status of which nothing else is said.
func generic(status int) failure {
	name := ""
	switch status {
	case http.StatusUnauthorized:
		name = "invalid_api_key"
	case http.StatusPaymentRequired:
		name = "payment_required"
	case http.StatusForbidden:
		name = "tier_not_allowed"
	case http.StatusTooManyRequests:
		name = "rate_limited"
	case http.StatusInternalServerError:
		name = "internal"
	case http.StatusServiceUnavailable:
		name = "unavailable"
	}
	if name != "" {
		return presets()[name]
	}
	e := failure{status: status, kind: "invalid_request_error", message: http.StatusText(status)}
	if status >= http.StatusInternalServerError {
		e.kind = "internal_server_error"
	}
	e.message = orElse(e.message, "status "+strconv.Itoa(status))
	return e
}

func forbidden(field string, input any, shape string) failure {
	return failure{status: http.StatusUnprocessableEntity, shape: shape, kind: "invalid_request_error", detail: []violation{
		{Type: "extra_forbidden", Loc: []string{"body", field}, Msg: "Extra inputs are not permitted", Input: input},
	}}
}

func unprocessable(kind, field, msg string, input any) failure {
	return failure{status: http.StatusUnprocessableEntity, shape: "detail_list", detail: []violation{
		{Type: kind, Loc: []string{"body", field}, Msg: msg, Input: input},
	}}
}

// body is the failure's text and its content type; requestID goes into the shapes that quote one.
func (e *failure) body(requestID string) (text, contentType string) {
	const isJSON, isHTML = "application/json", "text/html; charset=UTF-8"
	switch e.shape {
	case "detail":
		return encode(map[string]any{"detail": e.message}), isJSON
	case "detail_list":
		return encode(map[string]any{"detail": e.violations()}), isJSON
	case "nested_object":
		return encode(e.object(map[string]any{"detail": e.violations()})), isJSON
	case "kong":
		return encode(map[string]any{"message": e.message, "request_id": requestID}), isJSON
	case "html":
		return page(e.status, e.message, requestID), isHTML
	case "empty":
		return "", ""
	case "garbage":
		return "{\"choices\": [\x00\x01\x17 not this time } ]]", isJSON
	case "invalid_utf8":
		return "{\"object\":\"error\",\"message\":\"caf\xe9 \xff\xfe " + e.message + "\",\"type\":\"internal_server_error\",\"param\":null,\"code\":null}", isJSON
	case "not_json_200":
		return "<!doctype html>\n<title>Sign in</title>\n<p>This network asks you to sign in first.</p>\n", isHTML
	}
	return encode(e.object(e.message)), isJSON
}

func (e *failure) violations() []violation {
	if len(e.detail) > 0 {
		return e.detail
	}
	return []violation{{Type: "value_error", Loc: []string{"body"}, Msg: e.message}}
}

func (e *failure) object(message any) map[string]any {
	var code any
	if e.code != "" {
		code = e.code
	}
	return map[string]any{
		"object": "error", "message": message, "type": e.kind, "param": nil, "code": code, "raw_status_code": e.status,
	}
}

// page is what the network in front of the API shows when there is nothing behind it. The words are ours.
func page(status int, message, requestID string) string {
	message = orElse(message, "The server behind this address gave no usable answer.")
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return fmt.Sprintf("<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>api.mistral.ai | %d</title></head>\n<body>\n"+
		"<h1>Error %d</h1>\n<p>%s</p>\n<p>Ray %s</p>\n<hr>cloudflare\n</body>\n</html>\n", status, status, escape.Replace(message), requestID)
}
