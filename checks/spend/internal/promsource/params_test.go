package promsource_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend/internal/promsource"
)

func TestParamsThatAreRefused(t *testing.T) {
	t.Parallel()
	const url = "url: http://a.example\n"
	own := func(text string) string {
		return url + "tokens: {metric: a_total, input: [in], output: [out], " + text + "}"
	}
	for name, tc := range map[string]struct{ params, path string }{
		"no URL":                         {"preset: genai", "prometheus.url"},
		"a URL of the API":               {"url: http://a.example/api/v1\npreset: genai", "prometheus.url"},
		"nothing to count":               {url, "prometheus"},
		"two things to count":            {url + "preset: genai\ncost: {metric: a_total}", "prometheus"},
		"an unknown preset":              {url + "preset: other", "prometheus.preset"},
		"a metric that is an expression": {url + "cost: {metric: sum(a)}", "prometheus.cost.metric"},
		"no metric":                      {url + "cost: {metric: ''}", "prometheus.cost.metric"},
		"no values":                      {url + "tokens: {metric: a_total}", "prometheus.tokens"},
		"an empty value":                 {own("cached: ['']"), "prometheus.tokens.cached"},
		"output that is input":           {url + "tokens: {metric: a_total, input: [in], output: [in]}", "prometheus.tokens.output"},
		"a label that is none":           {own("model_label: a-b"), "prometheus.tokens.model_label"},
		"a label of our own":             {own("direction_label: windsock_part"), "prometheus.tokens.direction_label"},
		"one label for both":             {own("model_label: x, direction_label: x"), "prometheus.tokens.direction_label"},
		"matchers that break out":        {url + "preset: genai\nmatchers: 'a=\"b\"} or vector(1) or x{'", "prometheus.matchers"},
		"matchers in braces":             {url + "preset: genai\nmatchers: '{a=\"b\"}'", "prometheus.matchers"},
		"an open quote":                  {url + "preset: genai\nmatchers: 'a=\"b'", "prometheus.matchers"},
		"a comment":                      {url + "preset: genai\nmatchers: 'a=\"b\" # c'", "prometheus.matchers"},
		"a negative age":                 {url + "preset: genai\nmax_age: -1s", "prometheus.max_age"},
		"half a password":                {url + "preset: genai\nauth: {basic: {username: a}}", "prometheus.auth.basic"},
		"half a certificate":             {url + "preset: genai\ntls: {cert_file: /a}", "prometheus.tls"},
		"a header that cannot be":        {url + "preset: genai\nheaders: {'a b': c}", "prometheus.headers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p promsource.Params
			if err := checktest.Decoder(tc.params, key).Decode(&p); err != nil {
				t.Fatal(err)
			}
			err := p.Validate("prometheus")
			placed, ok := errors.AsType[*checks.ParamError](err)
			if !ok || !strings.HasPrefix(placed.Path, tc.path) {
				t.Errorf("got %v, want an error at %s", err, tc.path)
			}
		})
	}
}
