package mistral_test

import (
	"net/http"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	zero := http.Header{"X-Ratelimit-Limit-Req-Minute": {"0"}}
	slow := http.Header{"X-Ratelimit-Limit-Req-Second": {"0.07"}, "X-Ratelimit-Remaining-Req-Month": {"0.5"}}
	month := http.Header{"X-Ratelimit-Limit-Tokens-Month": {"1000"}, "X-RATELIMIT-remaining-TOKENS-month": {"0"}}
	tests := map[string]struct {
		status int
		header http.Header
		body   string
		cause  checks.Cause
		reason string
	}{
		"a success":                            {200, nil, "{}", "", ""},
		"a redirect":                           {301, nil, "", checks.CauseUnexpectedRedirect, "http_301"},
		"401 without a body":                   {401, nil, "", checks.CauseAuth, "http_401"},
		"401 in HTML":                          {401, nil, "<html>", checks.CauseAuth, "http_401"},
		"402":                                  {402, nil, `{"detail":"Spending limit reached"}`, checks.CausePayment, "http_402"},
		"403 without a body":                   {403, nil, "", checks.CauseForbidden, "http_403"},
		"403 from a challenge page":            {403, nil, "<!DOCTYPE html><title>Just a moment...</title>", checks.CauseMalformed, "html_403"},
		"404 from a wrong path":                {404, nil, `{"detail":"Not Found"}`, checks.CauseBadRequest, "http_404"},
		"404 from the gateway":                 {404, nil, `{"message":"no Route matched with those values","request_id":"x"}`, checks.CauseBadRequest, "http_404"},
		"404 about the model":                  {404, nil, `{"message":"Model x not found"}`, checks.CauseModelGone, "http_404"},
		"404 of another server":                {404, nil, `{"error":{"message":"The model does not exist","code":"model_not_found"}}`, checks.CauseModelGone, "http_404"},
		"400 about a deprecated model":         {400, nil, `{"message":"This model is deprecated"}`, checks.CauseModelGone, "http_400"},
		"400 with the code as a number":        {400, nil, `{"code":1500}`, checks.CauseModelGone, "code_1500"},
		"400 about a context too large":        {400, nil, `{"code":"3051","message":"Prompt contains 9 tokens, too large for model"}`, checks.CauseBadRequest, "code_3051"},
		"400 about a deprecated argument":      {400, nil, `{"code":"3051","message":"logprobs is deprecated for this model"}`, checks.CauseBadRequest, "code_3051"},
		"422 about a deprecated field":         {422, nil, `{"detail":[{"type":"extra_forbidden","msg":"deprecated","loc":["body","model"]}]}`, checks.CauseBadRequest, "http_422"},
		"410 about the model":                  {410, nil, `{"message":"model retired"}`, checks.CauseModelGone, "http_410"},
		"418":                                  {418, nil, `{}`, checks.CauseBadRequest, "http_418"},
		"408":                                  {408, nil, ``, checks.CauseTimeout, "http_408"},
		"429 with an allowance of zero":        {429, zero, `{"type":"service_tier_capacity_exceeded"}`, checks.CauseNoAllowance, "zero_limit"},
		"429 about capacity, by its text":      {429, month, `{"message":"Service tier CAPACITY EXCEEDED for this model."}`, checks.CauseCapacity, "http_429"},
		"429 with the month used up":           {429, month, `{"code":"1300"}`, checks.CauseQuota, "month"},
		"429 with less than one a second":      {429, slow, `{"code":"1300"}`, checks.CauseRateLimited, "code_1300"},
		"429 without anything":                 {429, nil, ``, checks.CauseRateLimited, "http_429"},
		"429 from the edge, in HTML":           {429, nil, `<html>error 1015`, checks.CauseRateLimited, "http_429"},
		"503 about capacity":                   {503, nil, `{"code":"3505"}`, checks.CauseCapacity, "code_3505"},
		"502 in HTML":                          {502, nil, `<html>Bad gateway`, checks.CauseServer, "http_502"},
		"520 of Cloudflare":                    {520, nil, ``, checks.CauseServer, "http_520"},
		"599, which nobody has seen":           {599, nil, `[]`, checks.CauseServer, "http_599"},
		"700, which is none":                   {700, nil, ``, checks.CauseMalformed, "http_700"},
		"101":                                  {101, nil, ``, checks.CauseMalformed, "http_101"},
		"a code that is a sentence":            {500, nil, `{"code":"drop table"}`, checks.CauseServer, "http_500"},
		"a message within a message":           {422, nil, `{"message":{"detail":[{"msg":"no","loc":["body",0]}]}}`, checks.CauseBadRequest, "http_422"},
		"an error body of the deepest nesting": {400, nil, `{"message":{"message":{"message":{"message":{"message":"x"}}}}}`, checks.CauseBadRequest, "http_400"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mistral.Classify(tt.status, tt.header, []byte(tt.body))
			if got.Cause != tt.cause || got.Reason != tt.reason {
				t.Errorf("got %+v, want %q %q", got, tt.cause, tt.reason)
			}
		})
	}
}
